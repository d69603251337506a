import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { BackOff } from '../../base/flow/back-off.ts';
import { type ChildExit, ChildGroup, exitText } from '../../base/process/child-group.ts';
import { findProgram } from '../../base/process/find-program.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';

/** What `nvidia-smi` is asked for, the name last: it may have commas. Drivers before 520 do not know the decoder. */
const FIELDS = ['index', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw', 'temperature.gpu'];
const NEWER = 'utilization.decoder';
const EVERY_MS = 250;
const MIB = 2 ** 20;
const MOST_SAMPLES = 4096;
const RESTART = { firstMs: 5_000, maxMs: 300_000 } as const;

/** Asks NVIDIA's driver four times a second for the use of its GPUs, by one `nvidia-smi` that keeps running. */
export class GpuMeter {
  readonly #path: string;
  readonly #backOff = new BackOff(RESTART);
  #group: ChildGroup | null = null;
  #samples: GpuReport[] = [];
  #knowsDecoder = true;
  #problem: string | null = null;
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @param path - of `nvidia-smi`. */
  constructor(path: string) {
    this.#path = path;
    this.#start();
  }

  /** Starts one if the machine has the program; else null. @param searchPath - the PATH of the environment. */
  static find(searchPath: string): GpuMeter | null {
    const path = findProgram('nvidia-smi', searchPath);
    return path === null ? null : new GpuMeter(path);
  }

  /** Why it reports nothing, while it is started again; null if it works. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Means of what was reported since the last call, by GPU; empty if nothing was. */
  take(): GpuReport[] {
    const samples = this.#samples;
    this.#samples = [];
    return meanGpuUse(samples.map((use) => ({ gpus: [use], seconds: 1 })));
  }

  /** Resolves when the program has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    const group = this.#group;
    if (group === null || group.isGone) return;
    const ended = once(group.child, 'exit');
    group.end();
    await ended;
  }

  #start(): void {
    const fields = [...FIELDS, ...(this.#knowsDecoder ? [NEWER] : []), 'name'];
    const args = [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits', `--loop-ms=${EVERY_MS}`];
    const group = new ChildGroup(this.#path, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#group = group;
    const { child } = group;
    let message = '';
    child.once('error', (error) => this.#onEnd(error.message));
    if (child.stdout === null) return;
    createInterface(child.stdout).on('line', (line) => {
      const sample = parseGpuLine(line, this.#knowsDecoder);
      if (sample === null) {
        message = line.slice(0, 200);
        return;
      }
      this.#problem = null;
      this.#backOff.reset();
      this.#samples.push(sample);
      // Nobody has asked for minutes.
      if (this.#samples.length > MOST_SAMPLES) this.#samples.splice(0, MOST_SAMPLES / 2);
    });
    child.once('close', (code, signal) => {
      const exit: ChildExit = { code, signal };
      if (this.#knowsDecoder && message.includes(NEWER)) {
        this.#knowsDecoder = false;
        if (!this.#isClosed) this.#start();
      } else this.#onEnd(`${exitText(exit)}${message === '' ? '' : `: ${message}`}`);
    });
  }

  #onEnd(why: string): void {
    if (this.#isClosed || this.#restart !== undefined) return;
    this.#problem = `nvidia-smi reports nothing (${why}); it is started again`;
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.#start();
    }, this.#backOff.nextMs());
    this.#restart.unref();
  }
}

/** Means over spans of time, by GPU: over those spans in which a figure was reported. */
export function meanGpuUse(
  spans: readonly { readonly gpus: readonly GpuReport[]; readonly seconds: number }[],
): GpuReport[] {
  const all = spans.flatMap(({ gpus, seconds }) => gpus.map((use) => ({ use, seconds })));
  const indices = [...new Set(all.map(({ use }) => use.index))].sort((a, b) => a - b);
  return indices.map((index) => {
    const own = all.filter(({ use }) => use.index === index);
    const mean = (key: Exclude<keyof GpuReport, 'index' | 'name'>): number | null => {
      const known = own.filter(({ use }) => use[key] !== null);
      const whole = known.reduce((sum, { seconds }) => sum + seconds, 0);
      return whole <= 0 ? null : known.reduce((sum, { use, seconds }) => sum + use[key]! * seconds, 0) / whole;
    };
    return {
      index,
      name: own[0]!.use.name,
      busyRatio: mean('busyRatio'),
      decoderRatio: mean('decoderRatio'),
      memoryUsedBytes: mean('memoryUsedBytes'),
      memoryTotalBytes: mean('memoryTotalBytes'),
      powerW: mean('powerW'),
      temperatureC: mean('temperatureC'),
    };
  });
}

/**
 * One line of its answer; figures that the driver does not have are `[N/A]` or similar. Null for messages.
 *
 * @param hasDecoder - it was asked for the decoder.
 */
export function parseGpuLine(line: string, hasDecoder = true): GpuReport | null {
  const fields = line.split(',').map((field) => field.trim());
  const [index = '', busy, used, total, power, temperature] = fields;
  const name = fields.slice(FIELDS.length + (hasDecoder ? 1 : 0));
  if (!/^\d+$/.test(index) || name.length === 0) return null;
  const number = (text: string | undefined, inUnit = (value: number): number => value): number | null =>
    text !== undefined && /^\d+(?:\.\d+)?$/.test(text) ? inUnit(Number(text)) : null;
  const bytes = (mib: number): number => mib * MIB;
  const ratio = (percent: number): number => percent / 100;
  return {
    index: Number(index),
    name: name.join(', '),
    busyRatio: number(busy, ratio),
    decoderRatio: hasDecoder ? number(fields[FIELDS.length], ratio) : null,
    memoryUsedBytes: number(used, bytes),
    memoryTotalBytes: number(total, bytes),
    powerW: number(power),
    temperatureC: number(temperature),
  };
}
