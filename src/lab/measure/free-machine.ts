import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_LIMITS, interference } from '../../frame/telemetry/interference.ts';
import { type MachineCounters, machineUse, readMachineCounters } from '../../frame/telemetry/machine-counters.ts';

/** Between two readings. */
const LOOK_MS = 1_000;
/** So many readings in a row without others: a program that rests for a second is not gone. */
const QUIET_LOOKS = 2;
/** How often it is said that it still waits. */
const NOTE_MS = 60_000;

interface FreeMachineOptions {
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** For tests. */
  readonly read?: () => MachineCounters;
  readonly lookMs?: number;
}

/** Waits for the moment at which others leave the CPU alone, so that what is measured then holds. */
export class FreeMachine {
  readonly #options: FreeMachineOptions;
  #waitedMs = 0;

  constructor(options: FreeMachineOptions) {
    this.#options = options;
  }

  /** Seconds that were waited so far, beyond the looks that every measurement costs. */
  get waitedSeconds(): number {
    return this.#waitedMs / 1000;
  }

  /**
   * Resolves once nothing else takes the CPU, at once where the system does not report that. Nothing of this process may be measured meanwhile.
   *
   * @throws the reason of the signal
   */
  async wait(): Promise<void> {
    const { signal, note, read = readMachineCounters, lookMs = LOOK_MS } = this.#options;
    const startedMs = performance.now();
    let noteMs = startedMs;
    let hasWaited = false;
    for (let quiet = 0; quiet < QUIET_LOOKS; ) {
      const [before, cpuBefore, beganMs] = [read(), process.cpuUsage(), performance.now()];
      await sleep(lookMs, undefined, { signal });
      const { user, system } = process.cpuUsage(cpuBefore);
      const use = machineUse(before, read(), (user + system) / 1000, performance.now() - beganMs);
      const why = interference(use, DEFAULT_LIMITS);
      quiet = why === null ? quiet + 1 : 0;
      if (why === null) continue;
      if (!hasWaited || performance.now() - noteMs >= NOTE_MS) {
        note(`waiting until the machine is free: ${why}`);
        noteMs = performance.now();
      }
      hasWaited = true;
    }
    if (!hasWaited) return;
    this.#waitedMs += performance.now() - startedMs;
    note('the machine is free: going on');
  }
}
