import type { ReadFile } from '../../frame/telemetry/energy-counters.ts';
import { type MachineCounters, machineUse, readMachineCounters } from '../../frame/telemetry/machine-counters.ts';

/** What others take of the machine's CPU: other processes and the hypervisor. This process, its children and a CPU limit of its own do not count. */
export class OthersCpu {
  readonly #ownCpuMs: () => number | null;
  readonly #read: ReadFile | undefined;
  #last: { readonly counters: MachineCounters; readonly ownMs: number; readonly atMs: number } | null = null;
  #lastRatio: number | undefined;

  /**
   * @param ownCpuMs - CPU time of this process and its children since it began; null if unknown.
   * @param read - for tests.
   */
  constructor(ownCpuMs: () => number | null, read?: ReadFile) {
    this.#ownCpuMs = ownCpuMs;
    this.#read = read;
  }

  /**
   * Returns the share, 0 to 1, of the time since the last call or of the one before, whichever is larger: what has piled up
   * while others were busy still delays frames for a moment. Undefined if unknown.
   */
  take(): number | undefined {
    const last = this.#last;
    const ownMs = this.#ownCpuMs();
    this.#last = ownMs === null ? null : { counters: readMachineCounters(this.#read), ownMs, atMs: performance.now() };
    const before = this.#lastRatio;
    this.#lastRatio = undefined;
    if (last === null || this.#last === null) return undefined;
    const { counters, atMs } = this.#last;
    const use = machineUse(last.counters, counters, this.#last.ownMs - last.ownMs, atMs - last.atMs);
    if (use.otherRatio === null) return undefined;
    this.#lastRatio = Math.min(1, use.otherRatio + (use.stealRatio ?? 0));
    return Math.max(this.#lastRatio, before ?? 0);
  }
}
