import type { PowerFigures } from '../../wire/protocol/power-report.ts';
import { cpuPowerW, type EnergyCounters, type ReadFile, readEnergy } from './energy-counters.ts';
import { GpuMeter } from './gpu-meter.ts';

const WINDOW_MS = 1_000;

/** What the GPUs do and what the machine draws, for the report of a host. Costs nothing where no driver and no counter reports it. */
export class PowerMeter {
  readonly #gpus: Pick<GpuMeter, 'take' | 'problem' | 'close'> | null;
  readonly #read: ReadFile | undefined;
  #energy: EnergyCounters | null;
  #readMs: number;
  #figures: PowerFigures = {};

  constructor(gpus: Pick<GpuMeter, 'take' | 'problem' | 'close'> | null, nowMs: number, read?: ReadFile) {
    this.#gpus = gpus;
    this.#read = read;
    this.#readMs = nowMs;
    this.#energy = readEnergy(read);
  }

  /** @param searchPath - the PATH of the environment, for `nvidia-smi`. */
  static open(searchPath: string, nowMs: number): PowerMeter {
    return new PowerMeter(GpuMeter.find(searchPath), nowMs);
  }

  /** Figures of the last second. @param publishedFps - of all streams. */
  figures(nowMs: number, publishedFps: number): PowerFigures {
    if ((this.#gpus === null && this.#energy === null) || nowMs - this.#readMs < WINDOW_MS) return this.#figures;
    const before = this.#energy;
    this.#energy = before === null ? null : readEnergy(this.#read);
    const cpuW = cpuPowerW(before, this.#energy, (nowMs - this.#readMs) / 1000);
    this.#readMs = nowMs;
    const gpus = this.#gpus?.take() ?? [];
    const problem = this.#gpus?.problem ?? null;
    const isKnown = gpus.length > 0 && gpus.every(({ powerW }) => powerW !== null);
    const gpuW = isKnown ? gpus.reduce((sum, { powerW }) => sum + powerW!, 0) : null;
    const hasPower = cpuW !== null || gpuW !== null;
    const joulesPerFrame = hasPower && publishedFps > 0 ? ((cpuW ?? 0) + (gpuW ?? 0)) / publishedFps : null;
    this.#figures = {
      ...(gpus.length > 0 ? { gpus } : {}),
      ...(problem === null ? {} : { gpuProblem: problem }),
      ...(hasPower ? { power: { cpuW, gpuW, joulesPerFrame } } : {}),
    };
    return this.#figures;
  }

  async close(): Promise<void> {
    await this.#gpus?.close();
  }
}
