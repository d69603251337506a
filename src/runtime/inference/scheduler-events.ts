import { monoNowMs } from '../../core/clock.ts';
import type { Incidents } from '../../flow/incidents.ts';
import type { EventKind } from '../../protocol/feed.ts';
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
  let failedBatches = 0;
  let reportedMs = 0;
  return {
    onBusy: (inferMs, batch) => {
      meter.addInferMs(inferMs);
      times.addBatch(batch);
    },
    onBatchFailed: ({ message, code }, frames) => {
      times.addFailed(frames);
      failedBatches += 1;
      const now = monoNowMs();
      if (now - reportedMs < FAILURES_EVERY_MS) return;
      emit('engine-failed', `${failedBatches} batch(es) failed: ${message}`, { code });
      failedBatches = 0;
      reportedMs = now;
    },
    onThreadLost: ({ message }, model) => emit('engine-restarted', `${message}; it is being restarted`, { model }),
    onThreadRestarted: () => emit('engine-restarted', 'an inference thread has restarted'),
    onFileDamaged: (error) => incidents.fail('model-check', error),
    onSettled: (reason) => emit('batch-settled', `batch size ${reason}`),
  };
}
