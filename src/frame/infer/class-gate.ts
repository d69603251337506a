/** Upper bound of the gate: just below 16.6, above which the sigmoid of an f32 is exactly 1. */
const CERTAIN = 16;

/** The gate passes slightly too many cells, so that rounding loses no box; the decoder applies the exact threshold. */
const GATE_SLACK = 1e-3;

/** Converts a score threshold, 0 to 1, to a logit for the input `GATE_INPUT` of a gated network. */
export function gateOf(scoreThreshold: number): number {
  return Math.min(Math.log(scoreThreshold / (1 - scoreThreshold)), CERTAIN) - GATE_SLACK;
}
