import type { z } from 'zod';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { BatchConfig } from '../../../settings/config/batch.ts';
import { check } from '../../../settings/config/check.ts';
import { type ModelConfig, modelConfig } from '../../../settings/config/model-config.ts';
import { streamConfig } from '../../../settings/config/stream.ts';
import { rolloutRequest } from '../../../wire/protocol/rest.ts';
import type { Prediction, Rollout, StreamChanges, Version } from '../../../wire/protocol/rollout-records.ts';
import { rolloutErrors } from './rollout-errors.ts';
import { type ComparedSettings, changesBetween, changesNothing, fixedBetween, withChanges } from './stream-changes.ts';

/** What the host runs: the settings that a request is compared with. */
export interface RunningPipeline extends ComparedSettings {
  readonly lanes: number;
}

export interface StartRequest
  extends Omit<z.infer<typeof rolloutRequest>, 'model' | 'settings' | 'by' | 'partial' | 'predicted'> {
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
  const { model, settings, by: _, partial, predicted = null, ...rest } = check(rolloutRequest, raw, 'roll-out');
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

/** Returns all steps of a request, and the time of the recordings that the first one is about. @param nowMs - of the control plane. */
export function stepsOf(
  { steps, recorded: time }: Pick<StartRequest, 'steps' | 'recorded'>,
  nowMs: number,
): Pick<Rollout, 'steps' | 'recorded'> {
  const all = [0, ...steps, 100];
  if (time === undefined) return { steps: all };
  return { steps: [0, ...all], recorded: 'lastMs' in time ? { fromMs: nowMs - time.lastMs, toMs: nowMs } : time };
}

/** Changes the network. What describes the old network does not describe the new one: that is left to its manifest. */
function otherModel(live: ModelConfig, name: string): ModelConfig {
  const { engine, provider, precision, scoreThreshold, threads, cacheResults, timeoutMs, classesPerBox, fake } = live;
  const kept = { engine, provider, precision, scoreThreshold, threads, cacheResults, timeoutMs, classesPerBox, fake };
  const given = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
  return check(modelConfig, { ...given, name }, 'roll-out.model');
}
