import { monoNowMs } from '../../../base/core/clock.ts';
import type { Incidents } from '../../../base/flow/incidents.ts';
import type { EventKind } from '../../../wire/protocol/feed.ts';
import type { HostMeter } from '../../telemetry/host-meter.ts';
import type { PartTimes } from '../../telemetry/part-times.ts';
import type { EventDetails } from '../stream/stream-port.ts';
import type { SchedulerEvents } from './scheduler.ts';

/** A model that fails on every batch must not flood the log. */
const FAILURES_EVERY_MS = 1000;

/** Turns what the scheduler reports into figures and events. */
export function schedulerEvents(
  meter: HostMeter,
  times: PartTimes,
  emit: (kind: EventKind, message: string, details?: EventDetails) => void,
  incidents: Incidents,
): SchedulerEvents {
  const failures = new Map<string, { batches: number; reportedMs: number }>();
  return {
    onBusy: (inferMs, batch) => {
      meter.addInferMs(inferMs);
      times.addBatch(batch);
    },
    onBatchFailed: ({ message, code }, model, frames) => {
      times.addFailed(frames);
      const failed = failures.get(model) ?? { batches: 0, reportedMs: 0 };
      failures.set(model, failed);
      failed.batches += 1;
      const now = monoNowMs();
      if (now - failed.reportedMs < FAILURES_EVERY_MS) return;
      emit('engine-failed', `${ofStage(model)}${failed.batches} batch(es) failed: ${message}`, { code, model });
      Object.assign(failed, { batches: 0, reportedMs: now });
    },
    onThreadLost: ({ message }, model) =>
      emit('engine-restarted', `${ofStage(model)}${message}; it is being restarted`, { model }),
    onThreadRestarted: (model) =>
      emit('engine-restarted', `${ofStage(model)}an inference thread has restarted`, { model }),
    onThreadsFailed: ({ message }, model) =>
      emit('engine-failed', `${ofStage(model)}${message}; it is tried once a minute`, { model }),
    onFileDamaged: (error) => incidents.fail('model-check', error),
    onSettled: (reason) => emit('batch-settled', `batch size ${reason}`),
  };
}

/** Names the second stage that a model belongs to, see `HostStages`; nothing for a detector. */
function ofStage(model: string): string {
  const stage = /^stage:(.+):\d+$/.exec(model)?.[1];
  return stage === undefined ? '' : `second stage ${stage}: `;
}
