import { SightlineError } from '../base/errors/sightline-error.ts';
import { readOnnxFacts } from '../frame/infer/onnx-facts.ts';
import { scoreResults } from '../network/evaluate/average-precision.ts';
import type { CocoAnnotations, CocoResult } from '../network/evaluate/coco-dataset.ts';
import { comparePrecision } from '../network/evaluate/precision-loss.ts';
import { type CliIo, note } from './cli-io.ts';
import { detectOnLabels } from './evaluate-model.ts';
import type { FileFlags } from './model-flags.ts';

/** How a picture is prepared for a network, as values of the flags. */
export type Preparation = Required<Pick<FileFlags, 'color' | 'range' | 'resize'>>;

export interface Trial extends Preparation {
  /** The figure that decides, and the one after it: AP and AP50, or top-1 and top-5. */
  readonly ap: number;
  readonly ap50: number;
  /** Preparation that it was compared with, and the gain of AP with the interval that decides; null for the first. */
  readonly gain: Gain | null;
}

interface Gain {
  readonly ap: number;
  readonly interval: readonly [low: number, high: number];
}

/** Range comes first: with the wrong range the network finds nothing, so no other setting makes a difference. */
const ALTERNATIVES = {
  range: [1, 255],
  color: ['rgb', 'bgr'],
  resize: ['stretch', 'letterbox', 'letterbox-top-left'],
} as const;

type Setting = keyof typeof ALTERNATIVES;

/** What one preparation scores, and what was found with it. */
export interface Scored<Found> {
  readonly ap: number;
  readonly ap50: number;
  readonly found: Found;
}

export interface Judge<Found> {
  /** Runs one preparation, all of them on the same engine; null if the network does not support it. */
  score(preparation: Preparation): Promise<Scored<Found> | null>;
  /** Compares two preparations picture by picture. */
  compare(base: Found, other: Found): Promise<Gain>;
}

/**
 * Searches for the preparation with the best average precision: changes one setting at a time. The start is the family's default,
 * so a change is kept only if it is better with certainty.
 *
 * @param fixed - settings that the user or the file determines.
 * @returns all trials in order, and the best of them.
 */
export async function tryPreparations<Found>(
  start: Preparation,
  fixed: ReadonlySet<Setting>,
  judge: Judge<Found>,
): Promise<{ trials: Trial[]; best: Trial }> {
  const first = await judge.score(start);
  let best: Trial = { ...start, ap: first?.ap ?? 0, ap50: first?.ap50 ?? 0, gain: null };
  let bestFound: Found | null = first?.found ?? null;
  const trials = [best];
  for (const setting of Object.keys(ALTERNATIVES) as Setting[]) {
    if (fixed.has(setting)) continue;
    const [base, baseFound] = [best, bestFound];
    for (const value of ALTERNATIVES[setting]) {
      if (value === base[setting]) continue;
      const { color, range, resize } = base;
      const preparation: Preparation = { color, range, resize, [setting]: value };
      const scored = await judge.score(preparation);
      if (scored === null) continue;
      const { ap, ap50, found } = scored;
      // A preparation that cannot be run ranks below all that can.
      const gain = baseFound === null ? null : await judge.compare(baseFound, found);
      const trial: Trial = { ...preparation, ap, ap50, gain };
      trials.push(trial);
      const isBetter = gain === null || gain.interval[0] > 0;
      if (isBetter && (bestFound === null || ap > best.ap)) [best, bestFound] = [trial, found];
    }
  }
  return { trials, best };
}

/** One engine for all trials: `auto` might choose another one for each. A quantised file is computed in int8, and no other is. */
function engineFor(file: string) {
  const precision = readOnnxFacts(file).isQuantised ? 'int8' : 'f32';
  return { engine: 'onnx', provider: 'cpu', precision } as const;
}
const BOOTSTRAP = { seed: 1, resamples: 1000 } as const;
/** Normal quantile for two-sided 5 %, shared by the four comparisons of a search (Bonferroni). */
const DEVIATIONS = 2.5;

/** Returns a judge that runs the model on the labelled pictures. */
export function judgeByRunning(
  flags: FileFlags & { readonly model: string; readonly images: string },
  annotations: CocoAnnotations,
  io: CliIo,
): Judge<readonly CocoResult[]> & { readonly precision: string } {
  const engine = engineFor(flags.model);
  return {
    precision: engine.precision,
    score: async (preparation) => {
      note(io, `trying --color ${preparation.color} --range ${preparation.range} --resize ${preparation.resize}`);
      try {
        const request = { ...flags, ...preparation, ...engine, resizeBy: 'sharp' } as const;
        const { results: found } = await detectOnLabels(request, annotations, io);
        const [ap = 0, ap50 = 0] = Object.values(scoreResults(annotations, found));
        return { ap, ap50, found };
      } catch (error) {
        // A network with u8 input supports one range only.
        if (error instanceof SightlineError && error.code === 'COMPILE_UNSUPPORTED') return null;
        throw error;
      }
    },
    compare: async (base, other) => {
      const { loss, standardError } = (await comparePrecision(annotations, base, other, BOOTSTRAP)).overall;
      const half = DEVIATIONS * standardError;
      return { ap: -loss, interval: [-loss - half, -loss + half] };
    },
  };
}
