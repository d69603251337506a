import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GpuMeter, meanGpuUse, parseGpuLine } from '../../../../src/frame/telemetry/gpu-meter.ts';
import type { GpuReport } from '../../../../src/wire/protocol/power-report.ts';
import { waitFor } from '../../../support/wait-for.ts';

const MIB = 1024 * 1024;

describe('a line of nvidia-smi', () => {
  it('has the index, use, memory, power, temperature and decoder of a GPU', () => {
    expect(parseGpuLine('0, 35, 1234, 81559, 123.45, 41, 12, NVIDIA A100-SXM4-80GB')).toEqual({
      index: 0,
      name: 'NVIDIA A100-SXM4-80GB',
      busyRatio: 0.35,
      decoderRatio: 0.12,
      powerW: 123.45,
      memoryUsedBytes: 1234 * MIB,
      memoryTotalBytes: 81_559 * MIB,
      temperatureC: 41,
    });
  });

  it('of a driver that does not know the decoder has no figure of it', () => {
    expect(parseGpuLine('0, 35, 1, 2, 3, 41, Quadro P400, a, b', false)).toMatchObject({
      name: 'Quadro P400, a, b',
      decoderRatio: null,
      temperatureC: 41,
    });
  });

  it('with figures that the driver does not have leaves them out, and never makes them 0', () => {
    expect(parseGpuLine('1, [N/A], 10, [Not Supported], [Unknown Error], [N/A], [N/A], Tegra')).toEqual({
      index: 1,
      name: 'Tegra',
      busyRatio: null,
      decoderRatio: null,
      memoryUsedBytes: 10 * MIB,
      memoryTotalBytes: null,
      powerW: null,
      temperatureC: null,
    });
  });

  it.each([
    '',
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
    'No devices were found',
  ])('%j is a message, not a GPU', (line) => expect(parseGpuLine(line)).toBeNull());
});

describe('means of the use of GPUs', () => {
  it('are taken for each GPU, over the spans in which it was reported', () => {
    const use = (index: number, busyRatio: number | null, powerW: number | null): GpuReport => ({
      index,
      name: `gpu ${index}`,
      busyRatio,
      memoryUsedBytes: 1,
      memoryTotalBytes: 2,
      powerW,
      decoderRatio: null,
      temperatureC: null,
    });
    const spans = [
      { gpus: [use(1, 0.2, null), use(0, 0.5, 100)], seconds: 1 },
      { gpus: [use(0, 0.9, 300), use(1, 0.6, null)], seconds: 3 },
      { gpus: [], seconds: 5 },
    ];
    const [first, second] = meanGpuUse(spans);
    expect(first).toMatchObject({ index: 0, powerW: 250 });
    expect(first!.busyRatio).toBeCloseTo(0.8, 12);
    expect(second).toMatchObject({ index: 1, powerW: null });
    expect(second!.busyRatio).toBeCloseTo(0.5, 12);
    expect(meanGpuUse([])).toEqual([]);
  });
});

describe.skipIf(process.platform === 'win32')('the meter', () => {
  let folder: string;
  let meter: GpuMeter | null;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-gpu-'));
  });

  afterEach(async () => {
    await meter?.close();
    rmSync(folder, { recursive: true });
  });

  function program(script: string): void {
    writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, 'nvidia-smi'), 0o755);
  }

  it('gives the means since the last look, of a program that keeps reporting', async () => {
    program(
      'while :; do echo "0, 40, 100, 1000, 70.0, 50, 0, Fake"; echo "0, 60, 300, 1000, 90.0, 50, 0, Fake"; sleep 0.1; done',
    );
    meter = GpuMeter.find(folder)!;
    let uses: GpuReport[] = [];
    await waitFor('a report', () => {
      uses = meter!.take();
      return uses.length > 0;
    });
    expect(uses).toHaveLength(1);
    expect(uses[0]!.powerW).toBeGreaterThanOrEqual(70);
    expect(uses[0]!.powerW).toBeLessThanOrEqual(90);
    expect(uses[0]!.memoryTotalBytes).toBe(1000 * MIB);
    await waitFor('another report', () => meter!.take().length > 0);
  });

  it('reports nothing where the driver does not answer, and where there is no such program', async () => {
    program('echo "NVIDIA-SMI has failed"; touch done; exit 9'.replace('done', join(folder, 'done')));
    meter = GpuMeter.find(folder)!;
    await waitFor('its end', () => existsSync(join(folder, 'done')));
    await waitFor('that it is said', () => meter!.problem !== null);
    expect(meter.problem).toBe('nvidia-smi reports nothing (exit code 9: NVIDIA-SMI has failed); it is started again');
    expect(meter.take()).toEqual([]);
    expect(GpuMeter.find(join(folder, 'nowhere'))).toBeNull();
    const broken = new GpuMeter(join(folder, 'missing'));
    expect(broken.take()).toEqual([]);
    await waitFor('that it is said', () => broken.problem !== null);
    await broken.close();
  });

  it('asks a driver that does not know the decoder for the rest', async () => {
    program(
      'case "$1" in *utilization.decoder*) echo "Field \\"utilization.decoder\\" is not a valid field to query."; exit 2;; esac; ' +
        'while :; do echo "0, 40, 100, 1000, 70.0, 50, Old"; sleep 0.1; done',
    );
    meter = GpuMeter.find(folder)!;
    let uses: GpuReport[] = [];
    await waitFor('a report', () => {
      uses = meter!.take();
      return uses.length > 0;
    });
    expect(uses[0]).toMatchObject({ name: 'Old', busyRatio: 0.4, decoderRatio: null, temperatureC: 50 });
    expect(meter.problem).toBeNull();
  });
});
