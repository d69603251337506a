import { z } from 'zod';
import { type BatchConfig, batchConfig } from '../../config/batch.ts';
import { check } from '../../config/check.ts';
import { type ModelConfig, modelConfig } from '../../config/model-config.ts';
import { range, whole } from '../../config/number.ts';
import { streamConfig } from '../../config/stream.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import {
  MOST_STEPS,
  type Prediction,
  prediction,
  type StreamChanges,
  type Version,
} from '../../protocol/rollout-records.ts';
import { rolloutErrors } from './rollout-errors.ts';
import { changesBetween, changesNothing, fixedBetween, type StreamSettings, withChanges } from './stream-changes.ts';

/** What a user asks for: `POST /api/rollouts`. Either a model, or whole sections of a pipeline. */
const startRequest = z.strictObject({
  model: modelConfig.shape.name
    .unwrap()
    .optional()
    .describe('Name or path of a detector; all other settings stay as they are.'),
  settings: z
    .strictObject({
      model: modelConfig,
      batch: batchConfig.prefault({}),
      lanes: whole(1, 64).optional(),
      defaults: z.record(z.string(), z.unknown()).optional(),
      streams: z.array(z.looseObject({ id: z.string() })).optional(),
    })
    .optional()
    .describe(
      'The sections of a pipeline file that a version has, and those of its stream settings that a roll-out can change.',
    ),
  partial: z.boolean().default(false).describe('Starts although some settings need a restart; they are left out.'),
  predicted: prediction.optional().describe('The gain that the optimiser expects.'),
  steps: z
    .array(range(0.1, 100))
    .min(1)
    .max(MOST_STEPS - 2)
    .refine((steps) => steps.every((share, i) => i === 0 || share > steps[i - 1]!), 'expected rising percentages')
    .refine((steps) => steps.at(-1) === 100, 'expected a list that ends with 100')
    .default([1, 10, 50, 100]),
  holdMs: whole(0, 7 * 86_400_000).default(60_000),
  minFrames: whole(1, 1_000_000_000).default(1000),
  guards: z.record(z.string(), z.unknown()).default({}),
  shadow: z.boolean().default(false),
  shadowRatio: range(0.01, 1).default(0.2),
  by: z.string().max(128).optional(),
});

/** What the host runs: the settings that a request is compared with. */
export interface RunningPipeline extends StreamSettings {
  readonly lanes: number;
}

export interface StartRequest
  extends Omit<z.infer<typeof startRequest>, 'model' | 'settings' | 'by' | 'partial' | 'predicted'> {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly streams: StreamChanges | undefined;
  readonly predicted: Prediction | null;
}

/**
 * Checks a request and completes its settings with those of the version in use.
 *
 * @param running - what the host runs.
 * @throws CONFIG_INVALID; ROLLOUT_PARTIAL if settings need a restart and the request does not leave them out.
 */
export function readStartRequest(raw: unknown, live: Version, running: RunningPipeline): StartRequest {
  const { model, settings, by: _, partial, predicted = null, ...rest } = check(startRequest, raw, 'roll-out');
  if ((model === undefined) === (settings === undefined))
    throw new SightlineError(
      'CONFIG_INVALID',
      `roll-out: expected either model or settings, received ${model === undefined ? 'neither' : 'both'}`,
    );
  if (settings === undefined)
    return { ...rest, predicted, model: otherModel(live.model, model!), batch: live.batch, streams: live.streams };
  const { lanes, defaults, streams, ...sections } = settings;
  const wanted = { defaults: defaults ?? {}, streams: streams ?? [] };
  const restarts = [
    ...(lanes === undefined || lanes === running.lanes ? [] : [`lanes: ${running.lanes} -> ${lanes}`]),
    ...(defaults === undefined && streams === undefined ? [] : fixedBetween(running, wanted)),
  ];
  if (restarts.length > 0 && !partial) throw rolloutErrors.needsRestart(restarts);
  // A request that says nothing about streams keeps their settings.
  if (defaults === undefined && streams === undefined)
    return { ...rest, ...sections, predicted, streams: live.streams };
  const changes = changesBetween(running, wanted);
  // Each must make a valid stream. Its source, and what is not rolled out, does not matter.
  for (const { id } of running.streams) withChanges(streamConfig.parse({ id, source: 'demo' }), changes);
  return { ...rest, ...sections, predicted, streams: changesNothing(changes) ? undefined : changes };
}

/** Changes the network. What describes the old network does not describe the new one: that is left to its manifest. */
function otherModel(live: ModelConfig, name: string): ModelConfig {
  const { engine, provider, precision, threads, cacheResults, timeoutMs, classesPerBox, fake } = live;
  const kept = { engine, provider, precision, threads, cacheResults, timeoutMs, classesPerBox, fake };
  const given = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
  return check(modelConfig, { ...given, name }, 'roll-out.model');
}
