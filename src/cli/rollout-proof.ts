import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { MOST_BYTES, readGivenTextSync } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { detectorNameOf } from '../fleet/control/rollout/other-detector.ts';
import { configurationOf } from '../lab/optimize/levers/apply-configuration.ts';
import { qualityKey } from '../lab/optimize/levers/levers.ts';
import type { Configuration } from '../lab/optimize/result.ts';
import { keptAnswers, readAnswers } from '../lab/optimize/review/answers.ts';
import { REVIEW_FILE, readReview } from '../lab/optimize/review/review-file.ts';
import { judgeReview } from '../lab/optimize/review/settle-report.ts';
import { DECIDING_FIGURE, IOU_TYPES } from '../network/evaluate/coco-rules.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import { type LabelledVerdict, type Prediction, prediction } from '../wire/protocol/rollout-records.ts';
import { wrongCommand } from './cli-io.ts';

const positive = z.number().positive();
const lossInterval = z.tuple([z.number(), z.number()]);
const gain = z.object({ ratio: positive, interval: z.tuple([positive, positive]) });
/** A verdict on quality by labels. */
const judged = z.object({
  kind: z.enum(['ap', 'top-1']),
  loss: z.number().min(-1).max(1),
  interval: lossInterval,
  pictures: z.int().positive(),
});
const configuration = z.record(z.string(), z.unknown().optional());
/** Of the outcome of `optimize`, what a roll-out needs: what each of its pipelines is, gains, and loses. */
const outcome = z.object({
  outcome: z.string(),
  speedup: z.unknown().optional(),
  quality: z.unknown().optional(),
  best: z.object({ configuration }),
  faster: z.object({ configuration, speedup: z.unknown().optional(), quality: z.unknown().optional() }).nullish(),
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

/** What a report of `optimize` says of one of its pipelines. */
export interface OptimisedPipeline {
  /** Null if it was not compared, or cannot be read: a roll-out does not depend on it. */
  readonly predicted: Prediction | null;
  /** Null if labels did not judge it. */
  readonly labelled: LabelledVerdict | null;
  /** Whether it is the one with differences that people settle. */
  readonly isFaster: boolean;
}

/**
 * Returns what the report beside a pipeline says of it, from its `result.json`; null if there is none, or if it is about other settings of
 * what detects: those of a file that was changed since are not what was judged.
 */
export function optimisedPipeline(folder: string, pipeline: PipelineConfig): OptimisedPipeline | null {
  const { data } = outcome.safeParse(resultIn(folder));
  if (data === undefined) return null;
  const { best, faster } = data;
  if (isOf(pipeline, best.configuration))
    return {
      predicted: predictionIn(data.speedup),
      labelled: data.outcome === 'faster' ? verdictIn(data.quality) : null,
      isFaster: false,
    };
  if (!faster || !isOf(pipeline, faster.configuration)) return null;
  return { predicted: predictionIn(faster.speedup), labelled: verdictIn(faster.quality), isFaster: true };
}

/** Whether a pipeline detects what a configuration does; settings that it leaves to the machine are those of the configuration. */
function isOf(pipeline: PipelineConfig, values: Readonly<Record<string, unknown>>): boolean {
  const known = values as unknown as Configuration;
  const { model } = pipeline;
  // Of hosts that are tried out without a network: no report is about it.
  const own = model.engine === 'fake' ? { ...pipeline, model: { ...model, engine: known.engine } } : pipeline;
  try {
    return qualityKey(configurationOf(own, known)) === qualityKey(known);
  } catch {
    return false;
  }
}

function predictionIn(given: unknown): Prediction | null {
  const { data } = gain.safeParse(given);
  if (data === undefined) return null;
  const { ratio, interval } = data;
  const [low, high] = interval;
  if (low > ratio || ratio > high) return null;
  return prediction.safeParse({ ratio, low, high }).data ?? null;
}

function verdictIn(given: unknown): LabelledVerdict | null {
  const { data } = judged.safeParse(given);
  if (data === undefined) return null;
  const source = 'the quality gate of "sightline optimize"';
  const { loss, pictures, interval } = data;
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

/**
 * Classes of which answers of people say that the faster pipeline of a report loses nothing.
 *
 * @param file - of answers; default: the one in the folder of the report, if there is one.
 * @throws COMMAND_INVALID if they say that it is worse in one; CONFIG_INVALID, COMMAND_INVALID for files that cannot be read
 */
export async function settledClasses(report: string, file?: string): Promise<readonly string[]> {
  // Answers to an earlier search stay where a later one asks nothing.
  if (file === undefined && !existsSync(join(report, REVIEW_FILE))) return [];
  const given = file === undefined ? await keptAnswers(report) : await readAnswers(file);
  const verdict = judgeReview(await readReview(report), given);
  const worse = verdict.classes.filter((one) => one.verdict.state === 'worse');
  if (worse.length > 0)
    throw wrongCommand(
      `by the answers this pipeline is worse, so it is not rolled out: ${worse.map(({ label, text }) => `${label}: ${text}`).join('; ')}`,
    );
  return verdict.classes.flatMap(({ label, verdict: { state } }) => (state === 'not worse' ? [label] : []));
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
