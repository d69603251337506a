import { afterEach, describe, expect, it, vi } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import { schedulerEvents } from '../../../../../src/frame/runtime/inference/scheduler-events.ts';
import { HostMeter } from '../../../../../src/frame/telemetry/host-meter.ts';
import { PartTimes } from '../../../../../src/frame/telemetry/part-times.ts';

describe('what the scheduler reports', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('reports failed batches at most once a second, with the number since the last report', () => {
    const meter = new HostMeter(0);
    const messages: string[] = [];
    const events = schedulerEvents(
      meter,
      new PartTimes(),
      (_kind, message) => void messages.push(message),
      new Incidents(),
    );
    let now = 1e6;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const failures = [0, 100, 900, 1000, 1100, 2500];
    for (const atMs of failures) {
      now = 1e6 + atMs;
      events.onBatchFailed(new SightlineError('ENGINE_FAILED', 'no memory'), 'default', 2);
    }
    // Another model has a second of its own, and a second stage its name.
    events.onBatchFailed(new SightlineError('ENGINE_FAILED', 'no memory'), 'stage:plate:3', 0);
    events.onThreadRestarted('stage:plate:3');
    meter.close();
    expect(messages).toEqual([
      ...[1, 3, 2].map((count) => `${count} batch(es) failed: no memory`),
      'second stage plate: 1 batch(es) failed: no memory',
      'second stage plate: an inference thread has restarted',
    ]);
  });

  it('counts and logs a cached file that had changed', () => {
    const meter = new HostMeter(0);
    const log: string[] = [];
    const incidents = new Incidents((text) => log.push(text));
    const events = schedulerEvents(meter, new PartTimes(), () => undefined, incidents);
    events.onFileDamaged(new SightlineError('MODEL_INTEGRITY', 'net.optimised.onnx: it has changed'));
    meter.close();
    expect(incidents.failures.get('model-check')).toBe(1);
    expect(log).toEqual([expect.stringContaining('net.optimised.onnx: it has changed [MODEL_INTEGRITY]')]);
  });
});
