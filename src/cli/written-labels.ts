import { resolve } from 'node:path';
import { labelFileName } from '../sinks/yolo-sink.ts';
import type { DetectItem, DetectPlan } from './detect-plan.ts';

/** The label files that a run has written, for the run that replaces them. */
export interface WrittenLabels {
  /** Absolute. */
  readonly folder: string;
  /** Of a video, every n-th frame has a file. */
  readonly every: number;
  /** `frames` is null for a picture, which has one file. */
  readonly inputs: readonly { readonly stem: string; readonly frames: number | null }[];
}

/** @returns null if the run wrote no labels. */
export function writtenLabels(
  { outputs: { yolo, stems } }: DetectPlan,
  items: readonly { readonly item: DetectItem; readonly inputs: readonly { readonly frames: number }[] }[],
  every: number,
): WrittenLabels | null {
  if (yolo === null) return null;
  const inputs = items.flatMap(({ item, inputs: summaries }) =>
    summaries.map(({ frames }, i) => ({
      stem: stems[item.first + i]!,
      frames: item.kind === 'pictures' ? null : frames,
    })),
  );
  return { folder: resolve(yolo.path), every, inputs };
}

/** Names of these files, if they lie in a folder; none of any other folder. */
export function labelNamesIn(folder: string, labels: WrittenLabels | null): ReadonlySet<string> {
  const names = new Set<string>();
  if (labels === null || labels.folder !== resolve(folder)) return names;
  for (const { stem, frames } of labels.inputs) {
    if (frames === null) names.add(labelFileName(stem, null));
    else for (let i = 0; i < frames; i++) names.add(labelFileName(stem, i * labels.every));
  }
  return names;
}
