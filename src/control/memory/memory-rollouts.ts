import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { check } from '../../config/check.ts';
import type { Clock } from '../../core/clock.ts';
import { writeWholeFile } from '../../disk/replace-file.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import {
  type Decision,
  decision,
  MOST_DECISIONS,
  type Rollout,
  rollout,
  rolloutFigures,
} from '../../protocol/rollout-records.ts';
import type { Evidence, RolloutBeat, RolloutChange, RolloutReply, RolloutStore } from '../rollout/rollout-store.ts';

const stateFile = z.object({ rollout: rollout.nullable(), decisions: z.array(decision) });
const evidenceFile = z.object({ figures: rolloutFigures, snapshot: z.string().nullable() });

export interface MemoryRolloutsOptions {
  readonly clock: Clock;
  /** How long a host stays the controller without a beat. */
  readonly leaseMs: number;
  readonly pipeline: string;
  /** Folder that keeps the record and its evidence across restarts; null or absent: they end with the process. */
  readonly folder?: string | null;
  /** Called once when a file cannot be written, and once when it can be again. */
  readonly onNotice?: (text: string) => void;
}

type Kept = 'state' | 'evidence';

/**
 * The roll-out of a pipeline within one process, with the same rules as in Redis. With a folder every change is written
 * to the disk before it returns, so that a restarted process continues where the old one ended. A change that cannot be written
 * takes effect anyway, and is written with a later change or beat: a full disk must not keep a bad candidate running.
 */
export class MemoryRollouts implements RolloutStore {
  readonly #options: MemoryRolloutsOptions;
  #controller: { readonly hostId: string; readonly expiresMs: number } | null = null;
  #rollout: Rollout | null = null;
  /** Newest first. */
  #decisions: readonly Decision[] = [];
  #evidence: Evidence | null = null;
  #counter = 0;
  #loading: Promise<void> | null = null;
  /** Files whose content is older than the state in memory. */
  readonly #unwritten = new Set<Kept>();
  #isFailing = false;
  /** Changes run one after the other: each compares the fence and writes a file. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: MemoryRolloutsOptions) {
    this.#options = options;
  }

  beat({ hostId, knownFence }: RolloutBeat): Promise<RolloutReply> {
    return this.#inTurn(async () => {
      await this.#writeAll();
      const nowMs = this.#nowMs();
      const { leaseMs } = this.#options;
      if (this.#controller === null || this.#controller.expiresMs <= nowMs || this.#controller.hostId === hostId)
        this.#controller = { hostId, expiresMs: nowMs + leaseMs };
      const fence = this.#rollout?.fence ?? 0;
      return {
        nowMs,
        fence,
        rollout: fence === knownFence ? null : this.#rollout,
        figures: this.#evidence?.figures ?? null,
        decisions: fence === knownFence ? [] : this.#decisions.filter((made) => made.fence > knownFence).reverse(),
        isController: this.#controller.hostId === hostId,
      };
    });
  }

  leave(hostId: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#controller?.hostId === hostId) this.#controller = null;
    });
  }

  change(change: RolloutChange, expectedFence: number, controller: string | null): Promise<number | null> {
    return this.#inTurn(async () => {
      const where = `roll-out of ${this.#options.pipeline}`;
      const record = check(rollout, { ...change.rollout, fence: 0 }, where);
      const made = check(decision, { ...change.decision, fence: 0 }, `decision of ${where}`);
      if ((this.#rollout?.fence ?? 0) !== expectedFence) return null;
      if (controller !== null && !this.#controls(controller)) return null;
      const fence = this.#nextNumber();
      await this.#keep({ ...record, fence } as Rollout, [{ ...made, fence }, ...this.#decisions] as Decision[]);
      return fence;
    });
  }

  saveEvidence(controller: string, evidence: Evidence): Promise<boolean> {
    return this.#inTurn(async () => {
      const { rollout: id, step } = evidence.figures;
      if (!this.#controls(controller) || this.#rollout?.id !== id || this.#rollout.step !== step) return false;
      const snapshot = evidence.snapshot ?? this.#evidence?.snapshot ?? null;
      this.#evidence = { figures: evidence.figures, snapshot };
      // Figures alone are not written: they follow from the snapshot.
      if (evidence.snapshot !== null) this.#unwritten.add('evidence');
      await this.#writeAll();
      return true;
    });
  }

  evidence(): Promise<Evidence | null> {
    return this.#inTurn(async () => this.#evidence);
  }

  restore(record: Rollout, decisions: readonly Decision[]): Promise<boolean> {
    return this.#inTurn(async () => {
      if ((this.#rollout?.fence ?? 0) >= record.fence) return false;
      await this.#keep(record, this.#decisions.length > 0 ? this.#decisions : decisions.toReversed());
      return true;
    });
  }

  history(): Promise<readonly Decision[]> {
    return this.#inTurn(async () => this.#decisions);
  }

  #nowMs(): number {
    return Math.floor(this.#options.clock.now());
  }

  /** Returns a number higher than all before; it follows the time in microseconds, as in Redis. */
  #nextNumber(): number {
    const newest = Math.max(this.#counter, this.#rollout?.fence ?? 0);
    this.#counter = Math.max(newest + 1, Math.floor(this.#options.clock.now() * 1000));
    return this.#counter;
  }

  #controls(hostId: string): boolean {
    return this.#controller?.hostId === hostId && this.#controller.expiresMs > this.#nowMs();
  }

  async #keep(record: Rollout, decisions: readonly Decision[]): Promise<void> {
    this.#rollout = record;
    this.#decisions = decisions.slice(0, MOST_DECISIONS);
    this.#unwritten.add('state');
    await this.#writeAll();
  }

  /** Writes the files that are out of date. Never rejects. */
  async #writeAll(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const { onNotice = () => undefined } = this.#options;
    // The record first: it is small, and matters more.
    for (const what of ['state', 'evidence'] as const) {
      if (!this.#unwritten.has(what)) continue;
      try {
        await this.#write(what);
        this.#unwritten.delete(what);
      } catch (error) {
        if (!this.#isFailing)
          onNotice(
            `roll-outs: ${this.#path(what)} cannot be written: ${(error as Error).message}; decisions take effect anyway, but would be lost at a restart`,
          );
        this.#isFailing = true;
      }
    }
    if (!this.#isFailing || this.#unwritten.size > 0) return;
    this.#isFailing = false;
    onNotice(`roll-outs: ${this.#options.folder} is written again`);
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    this.#loading ??= this.#load();
    const loading = this.#loading;
    const result = this.#last.then(async () => {
      await loading;
      return run();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #load(): Promise<void> {
    const state = await this.#read('state', stateFile);
    if (state !== null) {
      this.#rollout = state.rollout as Rollout | null;
      this.#decisions = state.decisions as readonly Decision[];
    }
    // Evidence can be collected again, so a damaged file is no reason to stop.
    this.#evidence = await this.#read('evidence', evidenceFile).catch(() => null);
  }

  async #read<S extends z.ZodType>(what: Kept, schema: S): Promise<z.output<S> | null> {
    const path = this.#path(what);
    if (path === null) return null;
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw new SightlineError('CONFIG_INVALID', `${path}: cannot be read: ${error.message}`, { path });
    });
    if (text === null) return null;
    try {
      return check(schema, JSON.parse(text), path);
    } catch (error) {
      throw SightlineError.from(error, 'CONFIG_INVALID');
    }
  }

  async #write(what: Kept): Promise<void> {
    const path = this.#path(what);
    if (path === null) return;
    const content = what === 'state' ? { rollout: this.#rollout, decisions: this.#decisions } : this.#evidence;
    await mkdir(this.#options.folder!, { recursive: true });
    await writeWholeFile(path, JSON.stringify(content));
  }

  #path(what: Kept): string | null {
    const { folder = null, pipeline } = this.#options;
    return folder === null ? null : join(folder, `${encodeURIComponent(pipeline)}-${what}.json`);
  }
}
