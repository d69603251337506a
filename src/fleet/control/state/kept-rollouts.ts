import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import {
  type Decision,
  decision,
  type Rollout,
  rollout,
  rolloutFigures,
} from '../../../wire/protocol/rollout-records.ts';
import type { Evidence, RolloutBeat, RolloutChange, RolloutReply, RolloutStore } from '../rollout/rollout-store.ts';
import type { MemoryStore } from '../store/memory-store.ts';
import { StoredRollouts } from './stored-rollouts.ts';

const stateFile = z.object({ rollout: rollout.nullable(), decisions: z.array(decision) });
const evidenceFile = z.object({ figures: rolloutFigures, snapshot: z.string().nullable() });

export interface KeptRolloutsOptions {
  readonly store: MemoryStore;
  /** How long a host stays the controller without a beat. */
  readonly leaseMs: number;
  readonly pipeline: string;
  /** Folder that keeps the record and its evidence across restarts. */
  readonly folder: string;
  /** Called once when a file cannot be written, and once when it can be again. */
  readonly onNotice: (text: string) => void;
}

type Kept = 'state' | 'evidence';

/**
 * The roll-out of a pipeline within one process, kept in a folder: every change is written to the disk before it returns, so that a
 * restarted process continues where the old one ended. A change that cannot be written takes effect anyway, and is written with a
 * later change or beat: a full disk must not keep a bad candidate running.
 */
export class KeptRollouts implements RolloutStore {
  readonly #options: KeptRolloutsOptions;
  readonly #rollouts: StoredRollouts;
  /** Files whose content is older than the state in memory. */
  readonly #unwritten = new Set<Kept>();
  #isFailing = false;
  /** Calls run one after the other: each may write a file. The first one reads the files. */
  #last: Promise<unknown> = Promise.resolve();
  #loading: Promise<void> | null = null;

  constructor(options: KeptRolloutsOptions) {
    this.#options = options;
    this.#rollouts = new StoredRollouts(options);
  }

  beat(beat: RolloutBeat): Promise<RolloutReply> {
    return this.#inTurn(async () => {
      await this.#writeAll();
      return this.#rollouts.beat(beat);
    });
  }

  leave(hostId: string): Promise<void> {
    return this.#inTurn(() => this.#rollouts.leave(hostId));
  }

  change(change: RolloutChange, expectedFence: number, controller: string | null): Promise<number | null> {
    return this.#keeping('state', () => this.#rollouts.change(change, expectedFence, controller));
  }

  saveEvidence(controller: string, evidence: Evidence): Promise<boolean> {
    // Figures alone are not written: they follow from the snapshot.
    return this.#keeping(evidence.snapshot === null ? null : 'evidence', () =>
      this.#rollouts.saveEvidence(controller, evidence),
    );
  }

  evidence(): Promise<Evidence | null> {
    return this.#inTurn(() => this.#rollouts.evidence());
  }

  restore(record: Rollout, decisions: readonly Decision[]): Promise<boolean> {
    return this.#keeping('state', () => this.#rollouts.restore(record, decisions));
  }

  history(): Promise<readonly Decision[]> {
    return this.#inTurn(() => this.#rollouts.history());
  }

  /** @param what - the file that is out of date once the change has been made; null: none. */
  #keeping<T>(what: Kept | null, change: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      const answer = await change();
      if (answer !== null && answer !== false && what !== null) this.#unwritten.add(what);
      await this.#writeAll();
      return answer;
    });
  }

  /** Writes the files that are out of date. Never rejects. */
  async #writeAll(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const { onNotice, folder } = this.#options;
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
    onNotice(`roll-outs: ${folder} is written again`);
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
    if (state !== null && state.rollout !== null)
      await this.#rollouts.restore(state.rollout as Rollout, (state.decisions as readonly Decision[]).toReversed());
    // Evidence can be collected again, so a damaged file is no reason to stop.
    const evidence = await this.#read('evidence', evidenceFile).catch(() => null);
    if (evidence !== null) await this.#rollouts.putEvidence(evidence as Evidence);
  }

  async #read<S extends z.ZodType>(what: Kept, schema: S): Promise<z.output<S> | null> {
    const path = this.#path(what);
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
    const content =
      what === 'state'
        ? { rollout: await this.#rollouts.current(), decisions: await this.#rollouts.history() }
        : await this.#rollouts.evidence();
    await mkdir(this.#options.folder, { recursive: true });
    await writeWholeFile(this.#path(what), JSON.stringify(content));
  }

  #path(what: Kept): string {
    const { folder, pipeline } = this.#options;
    return join(folder, `${encodeURIComponent(pipeline)}-${what}.json`);
  }
}
