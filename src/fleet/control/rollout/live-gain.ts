import { z } from 'zod';
import { type Estimate, ratioOfBlocks } from '../../../base/statistics/sequential.ts';
import type { CostObservation, Gain } from '../../../wire/protocol/rollout-records.ts';

/** Samples of one side that are kept; the newest count. */
const MOST_SAMPLES = 600;
const FEWEST_SAMPLES = 4;
/** Standard errors to each side of an interval of 95 %. */
const Z_95 = 1.96;

const samples = z.array(z.tuple([z.number(), z.number()]));
export const liveGainState = z.object({ control: samples, candidate: samples });
export type LiveGainState = z.infer<typeof liveGainState>;

/**
 * The gain measured on live streams: CPU time of all stages for one published frame, under the control before the roll-out,
 * divided by that under the candidate alone. Both at the rate of the cameras, so it says how many more of them the same
 * processor can take; where a GPU or the network is the limit it says little.
 */
export class LiveGain {
  readonly #samples: { control: [number, number][]; candidate: [number, number][] };

  constructor(state?: LiveGainState) {
    this.#samples = structuredClone(state ?? { control: [], candidate: [] });
  }

  get state(): LiveGainState {
    return structuredClone(this.#samples);
  }

  add({ costOf, cpuMs, published }: CostObservation): void {
    const side = this.#samples[costOf];
    side.push([cpuMs, published]);
    if (side.length > MOST_SAMPLES) side.shift();
  }

  /** Undefined until both sides have enough samples. */
  get gain(): Gain | undefined {
    const [control, candidate] = [costOf(this.#samples.control), costOf(this.#samples.candidate)];
    if (control === null || candidate === null) return undefined;
    const ratio = control.value / candidate.value;
    const spread = Math.exp(Z_95 * Math.hypot(relativeError(control), relativeError(candidate)));
    const [low, high] = [ratio / spread, ratio * spread];
    // Such irregular samples give no usable interval.
    if (![low, high].every((each) => each > 0 && each < 1e6)) return undefined;
    return { ratio, low, high, controlMs: control.value, candidateMs: candidate.value };
  }
}

function costOf(side: readonly (readonly [number, number])[]): Estimate | null {
  if (side.length < FEWEST_SAMPLES) return null;
  const estimate = ratioOfBlocks(
    side.map(([cpuMs]) => cpuMs),
    side.map(([, published]) => published),
    0,
  );
  return estimate !== null && estimate.value > 0 ? estimate : null;
}

function relativeError({ errors, value }: Estimate): number {
  return Math.max(0, ...errors.map(({ standardError }) => standardError)) / value;
}
