import { describe, expect, it } from 'vitest';
import { HostMeter } from '../../../../src/frame/telemetry/host-meter.ts';
import { readProcessUsage } from '../../../../src/frame/telemetry/process-usage.ts';

describe('readProcessUsage', () => {
  it('is null for a process that does not exist', () => {
    expect(readProcessUsage(2 ** 30)).toBeNull();
  });

  it.skipIf(process.platform !== 'linux')('agrees with the figures of Node for this process (Linux only)', () => {
    const usage = readProcessUsage(process.pid)!;
    const { user, system } = process.cpuUsage();
    expect(Math.abs(usage.cpuMs - (user + system) / 1000)).toBeLessThan(200);
    expect(Math.abs(usage.rssBytes - process.memoryUsage.rss())).toBeLessThan(64 * 2 ** 20);
  });
});

describe('HostMeter', () => {
  it('reports the busy ratio of each stage, and the busiest stage', () => {
    const meter = new HostMeter(0);
    meter.inferThreads = 2;
    meter.addInferMs(1500);
    const usage = meter.sample(1000, []);
    expect(usage.busyRatio.infer).toBeCloseTo(0.75, 6);
    expect(usage.uptimeS).toBe(1);
    expect(usage.busyRatio.preprocess).toBe(0);
    const again = meter.sample(2000, []);
    expect(again.busyRatio.infer).toBe(0);
    meter.close();
  });

  it('limits a busy ratio to 1', () => {
    const meter = new HostMeter(0);
    meter.addInferMs(99_999);
    const usage = meter.sample(1000, []);
    expect(usage.busyRatio.infer).toBe(1);
    expect(usage.bottleneck).toBe('infer');
    meter.close();
  });
});
