import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { ChildGroup } from '../process/child-group.ts';
import { findProgram } from '../process/find-program.ts';
import type { GpuUse } from './trial-result.ts';

const FIELDS = ['index', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw', 'name'];
const EVERY_MS = 250;
const MIB = 2 ** 20;

/** Asks NVIDIA's driver four times a second for the use of its GPUs, by one `nvidia-smi` that keeps running. */
export class GpuMeter {
  readonly #group: ChildGroup;
  #samples: GpuUse[] = [];

  /** @param path - of `nvidia-smi`. */
  constructor(path: string) {
    const args = [`--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits', `--loop-ms=${EVERY_MS}`];
    this.#group = new ChildGroup(path, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const { child } = this.#group;
    // A driver that does not answer is a machine without figures.
    child.once('error', () => undefined);
    if (child.stdout === null) return;
    createInterface(child.stdout).on('line', (line) => {
      const sample = parseGpuLine(line);
      if (sample !== null) this.#samples.push(sample);
    });
  }

  /** Starts one if the machine has the program; else null. @param searchPath - the PATH of the environment. */
  static find(searchPath: string): GpuMeter | null {
    const path = findProgram('nvidia-smi', searchPath);
    return path === null ? null : new GpuMeter(path);
  }

  /** Means of what was reported since the last call, by GPU; empty if nothing was. */
  take(): GpuUse[] {
    const samples = this.#samples;
    this.#samples = [];
    return meanGpuUse(samples.map((use) => ({ gpus: [use], seconds: 1 })));
  }

  /** Resolves when the program has ended. */
  async close(): Promise<void> {
    if (this.#group.isGone) return;
    const ended = once(this.#group.child, 'exit');
    this.#group.end();
    await ended;
  }
}

/** Means over spans of time, by GPU: over those spans in which a figure was reported. */
export function meanGpuUse(spans: readonly { readonly gpus: readonly GpuUse[]; readonly seconds: number }[]): GpuUse[] {
  const all = spans.flatMap(({ gpus, seconds }) => gpus.map((use) => ({ use, seconds })));
  const indices = [...new Set(all.map(({ use }) => use.index))].sort((a, b) => a - b);
  return indices.map((index) => {
    const own = all.filter(({ use }) => use.index === index);
    const mean = (key: 'busyRatio' | 'memoryUsedBytes' | 'memoryTotalBytes' | 'powerW'): number | null => {
      const known = own.filter(({ use }) => use[key] !== null);
      const whole = known.reduce((sum, { seconds }) => sum + seconds, 0);
      return whole <= 0 ? null : known.reduce((sum, { use, seconds }) => sum + use[key]! * seconds, 0) / whole;
    };
    return {
      ...{ index, name: own[0]!.use.name, busyRatio: mean('busyRatio') },
      ...{ memoryUsedBytes: mean('memoryUsedBytes'), memoryTotalBytes: mean('memoryTotalBytes') },
      powerW: mean('powerW'),
    };
  });
}

/** One line of its answer; figures that the driver does not have are `[N/A]` or similar. Null for messages. */
export function parseGpuLine(line: string): GpuUse | null {
  const [index = '', busy, used, total, power, ...name] = line.split(',').map((field) => field.trim());
  if (!/^\d+$/.test(index) || name.length === 0) return null;
  const number = (text: string | undefined, inUnit = (value: number): number => value): number | null =>
    text !== undefined && /^\d+(?:\.\d+)?$/.test(text) ? inUnit(Number(text)) : null;
  const bytes = (mib: number): number => mib * MIB;
  return {
    index: Number(index),
    name: name.join(', '),
    busyRatio: number(busy, (percent) => percent / 100),
    memoryUsedBytes: number(used, bytes),
    memoryTotalBytes: number(total, bytes),
    powerW: number(power),
  };
}
