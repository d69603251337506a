import { join } from 'node:path';
import { z } from 'zod';
import { detectorNameOf } from '../control/rollout/other-detector.ts';
import { MOST_BYTES, readGivenTextSync } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { DECIDING_FIGURE, IOU_TYPES } from '../evaluate/coco-rules.ts';
import { type LabelledVerdict, type Prediction, prediction } from '../protocol/rollout-records.ts';
import { wrongCommand } from './cli-io.ts';

const positive = z.number().positive();
/** The outcome of `optimize`; of its keys only the gain counts here. */
const outcome = z.object({ speedup: z.object({ ratio: positive, interval: z.tuple([positive, positive]) }) });
const lossInterval = z.tuple([z.number(), z.number()]);
/** Its verdict on quality, if it was judged by labels. */
const judged = z.object({
  outcome: z.literal('faster'),
  quality: z.object({
    kind: z.enum(['ap', 'top-1']),
    loss: z.number().min(-1).max(1),
    interval: lossInterval,
    pictures: z.int().positive(),
  }),
});
/** What "sightline eval --json" prints; of its figures only the first counts here. */
const evaluation = z.object({
  models: z.array(
    z.object({
      model: z.string(),
      iouType: z.enum(IOU_TYPES).default('bbox'),
      figures: z
        .record(z.string(), z.number())
        .transform((figures) => Object.values(figures)[0])
        .pipe(z.number().min(0).max(1)),
    }),
  ),
  comparisons: z
    .array(
      z.object({
        reference: z.string(),
        candidate: z.string(),
        pictures: z.int().positive(),
        loss: z.number(),
        interval: lossInterval,
      }),
    )
    .default([]),
});

/**
 * Returns the gain that a report of `optimize` predicts, from its `result.json`; null if the folder has none or it cannot be read: a
 * roll-out does not depend on it.
 */
export function predictedGain(folder: string): Prediction | null {
  const { data } = outcome.safeParse(resultIn(folder));
  if (data === undefined) return null;
  const { ratio, interval } = data.speedup;
  const [low, high] = interval;
  if (low > ratio || ratio > high) return null;
  return prediction.safeParse({ ratio, low, high }).data ?? null;
}

/** Returns what the labels of an optimisation said of its result; null if it was not judged by labels. */
export function optimisedVerdict(folder: string): LabelledVerdict | null {
  const { data } = judged.safeParse(resultIn(folder));
  if (data === undefined) return null;
  const source = 'the quality gate of "sightline optimize"';
  const { loss, pictures, interval } = data.quality;
  const [low, high] = interval;
  return { controlAp: null, candidateAp: null, loss, source, pictures, interval: { low, high } };
}

/**
 * Reads the output of `sightline eval --json` about two detectors.
 *
 * @param candidate - name or path of one of them.
 * @throws COMMAND_INVALID if it is about others, has no interval, or the candidate is worse.
 */
export function evaluatedVerdict(path: string, candidate: string): LabelledVerdict {
  const refused = (what: string): SightlineError => wrongCommand(`--eval ${path}: ${what}`);
  let raw: unknown;
  try {
    const as = `--eval ${path}: cannot be read`;
    raw = JSON.parse(readGivenTextSync(path, { code: 'COMMAND_INVALID', as, mostBytes: MOST_BYTES.json }));
  } catch (error) {
    throw error instanceof SightlineError ? error : refused((error as Error).message);
  }
  const { models = [], comparisons = [] } = evaluation.safeParse(raw).data ?? {};
  const name = detectorNameOf(candidate);
  const [one, control] = [models.find(({ model }) => model === name), models.find(({ model }) => model !== name)];
  if (models.length !== 2 || one === undefined || control === undefined) {
    const found = models.map(({ model }) => model).join(', ') || 'none';
    throw refused(
      `expected two detectors, ${name} and the one in use, received ${found}; make it with "sightline eval instances.json --images DIR --model OLD --model ${name} --json"`,
    );
  }
  if (one.iouType !== control.iouType)
    throw refused(`expected one --iou-type for both, received ${one.iouType} and ${control.iouType}`);
  const [controlAp, candidateAp] = [control.figures, one.figures];
  if (candidateAp < controlAp)
    throw refused(
      `${name} has ${DECIDING_FIGURE[one.iouType]} ${candidateAp.toFixed(3)}, ${control.model} ${controlAp.toFixed(3)}: it is worse, so it is not rolled out`,
    );
  const names = [control.model, name];
  const compared = comparisons.find((one) => names.includes(one.reference) && names.includes(one.candidate));
  if (compared === undefined)
    throw refused(
      'expected a comparison of both with its interval, received none; make the file again, an earlier version may have written it',
    );
  const [low, high] = compared.interval;
  return {
    controlAp,
    candidateAp,
    loss: controlAp - candidateAp,
    source: `"sightline eval" of ${path}`,
    pictures: compared.pictures,
    interval: compared.reference === name ? { low: -high, high: -low } : { low, high },
    control: control.model,
  };
}

/** The outcome of `optimize` in a folder; null if there is none. */
function resultIn(folder: string): unknown {
  try {
    const path = join(folder, 'result.json');
    return JSON.parse(readGivenTextSync(path, { code: 'CONFIG_INVALID', mostBytes: MOST_BYTES.json }));
  } catch {
    return null;
  }
}
