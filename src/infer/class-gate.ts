/** A little below 16.6, from where on the sigmoid of an f32 is 1. */
const CERTAIN = 16;

/** The gate lets a little too much through, so that rounding loses no box: the decoder has the last word. */
const GATE_SLACK = 1e-3;

/** What a gated network compares objectness with (see `GATE_INPUT`): the number whose sigmoid is the threshold. */
export function gateOf(scoreThreshold: number): number {
  return Math.min(Math.log(scoreThreshold / (1 - scoreThreshold)), CERTAIN) - GATE_SLACK;
}
