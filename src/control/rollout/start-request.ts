import { z } from 'zod';
import { type BatchConfig, batchConfig } from '../../config/batch.ts';
import { check } from '../../config/check.ts';
import { type ModelConfig, modelConfig } from '../../config/model-config.ts';
import { range, whole } from '../../config/number.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { MOST_STEPS, type Version } from '../../protocol/rollout-records.ts';

/** What a user asks for: `POST /api/rollouts`. Either a model, or whole sections of a pipeline. */
const startRequest = z.strictObject({
  model: z.string().min(1).optional().describe('Name or path of a detector; all other settings stay as they are.'),
  settings: z
    .strictObject({ model: modelConfig, batch: batchConfig.prefault({}) })
    .optional()
    .describe('The model and batch sections of a pipeline file.'),
  steps: z
    .array(range(0.1, 100))
    .min(1)
    .max(MOST_STEPS - 1)
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

export interface StartRequest extends Omit<z.infer<typeof startRequest>, 'model' | 'settings' | 'by'> {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
}

/**
 * Checks a request and completes its settings with those of the version in use.
 *
 * @throws CONFIG_INVALID
 */
export function readStartRequest(raw: unknown, live: Version): StartRequest {
  const { model, settings, by: _, ...rest } = check(startRequest, raw, 'roll-out');
  if ((model === undefined) === (settings === undefined))
    throw new SightlineError(
      'CONFIG_INVALID',
      `roll-out: expected either model or settings, received ${model === undefined ? 'neither' : 'both'}`,
    );
  if (settings !== undefined) return { ...rest, ...settings };
  return { ...rest, model: otherModel(live.model, model!), batch: live.batch };
}

/** Changes the network. What describes the old network does not describe the new one: that is left to its manifest. */
function otherModel(live: ModelConfig, name: string): ModelConfig {
  const { engine, provider, precision, threads, cacheResults, timeoutMs, classesPerBox, fake } = live;
  const kept = { engine, provider, precision, threads, cacheResults, timeoutMs, classesPerBox, fake };
  const given = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
  return check(modelConfig, { ...given, name }, 'roll-out.model');
}
