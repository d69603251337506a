import { SightlineError } from '../errors/sightline-error.ts';
import type { CocoAnnotations } from '../evaluate/coco-dataset.ts';
import { type CliIo, note } from './cli-io.ts';
import { evaluateModel } from './evaluate-model.ts';
import type { FileFlags } from './model-flags.ts';

/** How a picture is prepared for a network, as values of the flags. */
export type Preparation = Required<Pick<FileFlags, 'color' | 'range' | 'resize'>>;

export interface Trial extends Preparation {
  readonly ap: number;
  readonly ap50: number;
}

/** Range comes first: with the wrong range the network finds nothing, so no other setting makes a difference. */
const ALTERNATIVES = {
  range: [1, 255],
  color: ['rgb', 'bgr'],
  resize: ['stretch', 'letterbox', 'letterbox-top-left'],
} as const;

type Setting = keyof typeof ALTERNATIVES;

/** Scores one preparation: average precision overall and at IoU 0.5; null if the network does not support it. */
export type Score = (preparation: Preparation) => Promise<{ readonly ap: number; readonly ap50: number } | null>;

/**
 * Searches for the preparation with the best average precision: changes one setting at a time and keeps a change only if it
 * scores higher.
 *
 * @param fixed - settings that the user or the file determines.
 * @returns all trials in order, and the best of them.
 */
export async function tryPreparations(
  start: Preparation,
  fixed: ReadonlySet<Setting>,
  score: Score,
): Promise<{ trials: Trial[]; best: Trial }> {
  let best: Trial = { ...start, ...((await score(start)) ?? { ap: 0, ap50: 0 }) };
  const trials = [best];
  for (const setting of Object.keys(ALTERNATIVES) as Setting[]) {
    if (fixed.has(setting)) continue;
    const base = best;
    for (const value of ALTERNATIVES[setting]) {
      if (value === base[setting]) continue;
      const { color, range, resize } = base;
      const preparation: Preparation = { color, range, resize, [setting]: value };
      const figures = await score(preparation);
      if (figures === null) continue;
      const trial = { ...preparation, ...figures };
      trials.push(trial);
      if (trial.ap > best.ap) best = trial;
    }
  }
  return { trials, best };
}

/** Returns a score function that runs the model on the labelled pictures. */
export function scoreByRunning(
  flags: FileFlags & { readonly model: string; readonly images: string },
  annotations: CocoAnnotations,
  io: CliIo,
): Score {
  return async (preparation) => {
    note(io, `trying --color ${preparation.color} --range ${preparation.range} --resize ${preparation.resize}`);
    try {
      const { figures } = await evaluateModel({ ...flags, ...preparation, resizeBy: 'sharp' }, annotations, io);
      return { ap: figures.AP, ap50: figures.AP50 };
    } catch (error) {
      // A network with u8 input supports one range only.
      if (error instanceof SightlineError && error.code === 'COMPILE_UNSUPPORTED') return null;
      throw error;
    }
  };
}
