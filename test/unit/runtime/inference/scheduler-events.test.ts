import { afterEach, describe, expect, it, vi } from 'vitest';
import { SightlineError } from '../../../../src/errors/sightline-error.ts';
import { schedulerEvents } from '../../../../src/runtime/inference/scheduler-events.ts';
import { HostMeter } from '../../../../src/telemetry/host-meter.ts';
import { PartTimes } from '../../../../src/telemetry/part-times.ts';

describe('what the scheduler reports', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('reports failed batches at most once a second, with the number since the last report', () => {
    const meter = new HostMeter(0);
    const messages: string[] = [];
    const events = schedulerEvents(meter, new PartTimes(), (_kind, message) => void messages.push(message));
    let now = 1e6;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const failures = [0, 100, 900, 1000, 1100, 2500];
    for (const atMs of failures) {
      now = 1e6 + atMs;
      events.onBatchFailed(new SightlineError('ENGINE_FAILED', 'no memory'), 2);
    }
    meter.close();
    expect(messages).toEqual([1, 3, 2].map((count) => `${count} batch(es) failed: no memory`));
  });
});
