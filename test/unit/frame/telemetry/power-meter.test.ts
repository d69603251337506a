import { describe, expect, it } from 'vitest';
import { PowerMeter } from '../../../../src/frame/telemetry/power-meter.ts';
import type { GpuReport } from '../../../../src/wire/protocol/power-report.ts';

const gpu = (index: number, powerW: number | null): GpuReport => ({
  index,
  name: 'A100',
  busyRatio: 0.5,
  decoderRatio: 0,
  memoryUsedBytes: 1,
  memoryTotalBytes: 2,
  powerW,
  temperatureC: 40,
});

/** A package that has used so much; it starts again from 0 at 1,000 J. */
function rapl(): { usedUj: number; read: (path: string) => string | null } {
  const machine = {
    usedUj: 0,
    read: (path: string): string | null =>
      ({
        '/sys/class/powercap/intel-rapl:0/name': 'package-0\n',
        '/sys/class/powercap/intel-rapl:0/energy_uj': `${machine.usedUj}\n`,
        '/sys/class/powercap/intel-rapl:0/max_energy_range_uj': '1000000000\n',
      })[path] ?? null,
  };
  return machine;
}

function fakeGpus(now: { gpus: GpuReport[]; problem: string | null }) {
  return {
    take: () => now.gpus,
    get problem() {
      return now.problem;
    },
    close: () => Promise.resolve(),
  };
}

describe('the power of a machine', () => {
  it('is that of the CPUs and all GPUs, also for each published frame', () => {
    const machine = rapl();
    const meter = new PowerMeter(fakeGpus({ gpus: [gpu(0, 100), gpu(1, 50)], problem: null }), 0, machine.read);
    machine.usedUj = 80e6;
    // 80 J in two seconds are 40 W; with 150 W of the GPUs at 19 frames/s.
    expect(meter.figures(2_000, 19).power).toEqual({ cpuW: 40, gpuW: 150, joulesPerFrame: 10 });
    expect(meter.figures(2_000, 19).gpus).toHaveLength(2);
  });

  it('survives the wrap of a counter, and keeps its figures for a second', () => {
    const machine = rapl();
    machine.usedUj = 990e6;
    const meter = new PowerMeter(null, 0, machine.read);
    machine.usedUj = 20e6;
    expect(meter.figures(1_000, 0).power).toEqual({ cpuW: 30, gpuW: null, joulesPerFrame: null });
    machine.usedUj = 21e6;
    expect(meter.figures(1_500, 10).power).toEqual({ cpuW: 30, gpuW: null, joulesPerFrame: null });
    expect(meter.figures(2_000, 10).power).toEqual({ cpuW: 1, gpuW: null, joulesPerFrame: 0.1 });
  });

  it('of some GPUs is not that of all', () => {
    const meter = new PowerMeter(fakeGpus({ gpus: [gpu(0, 100), gpu(1, null)], problem: null }), 0, () => null);
    expect(meter.figures(1_000, 10)).not.toHaveProperty('power');
  });

  it('is absent, with its reason, while nvidia-smi reports nothing, and comes back', () => {
    const now: { gpus: GpuReport[]; problem: string | null } = { gpus: [], problem: 'nvidia-smi reports nothing' };
    const meter = new PowerMeter(fakeGpus(now), 0, () => null);
    expect(meter.figures(1_000, 10)).toEqual({ gpuProblem: 'nvidia-smi reports nothing' });
    Object.assign(now, { gpus: [gpu(0, 100)], problem: null });
    expect(meter.figures(2_000, 10)).toMatchObject({ power: { gpuW: 100, joulesPerFrame: 10 } });
  });

  it('costs nothing where nothing reports it: no file is read again', () => {
    let reads = 0;
    const read = (): null => {
      reads += 1;
      return null;
    };
    const meter = new PowerMeter(null, 0, read);
    const before = reads;
    expect(meter.figures(5_000, 10)).toEqual({});
    expect(reads).toBe(before);
  });
});
