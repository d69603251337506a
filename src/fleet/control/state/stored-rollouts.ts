import { z } from 'zod';
import { check } from '../../../settings/config/check.ts';
import {
  type Decision,
  decision,
  MOST_DECISIONS,
  type Rollout,
  rollout,
  rolloutFigures,
} from '../../../wire/protocol/rollout-records.ts';
import type { Evidence, RolloutBeat, RolloutChange, RolloutReply, RolloutStore } from '../rollout/rollout-store.ts';
import { EntryReader, type SignedPlace, type StoreOptions } from '../store/entry-reader.ts';
import { type FleetSigner, signedJson } from '../store/fleet-signer.ts';
import type { FleetStore, Write } from '../store/fleet-store.ts';
import { decoded, numbered, type Transaction, transact } from '../store/transaction.ts';

/** Evidence has about 80,000 characters for each stream. */
const MOST_EVIDENCE_CHARS = 64 * 1024 * 1024;
/** A fence with its name has fewer. */
const TAIL_CHARS = 40;

const signedEvidence = z.object({ snapshot: z.string() });

export interface StoredRolloutsOptions extends StoreOptions {
  /** How long a host stays the controller without a beat. */
  readonly leaseMs: number;
  readonly pipeline: string;
}

/** The rules of the roll-out of a pipeline, over the store that keeps it. */
export class StoredRollouts implements RolloutStore {
  readonly #store: FleetStore;
  readonly #leaseMs: number;
  readonly #pipeline: string;
  readonly #entries: EntryReader;
  readonly #signer: FleetSigner | null;

  constructor({ store, leaseMs, pipeline, incidents, signer = null }: StoredRolloutsOptions) {
    this.#store = store;
    this.#leaseMs = leaseMs;
    this.#pipeline = pipeline;
    this.#signer = signer;
    this.#entries = new EntryReader(incidents, signer);
  }

  beat({ hostId, knownFence }: RolloutBeat): Promise<RolloutReply> {
    return transact(this.#store, async (transaction) => {
      const [holder, tail, figures] = await transaction.read(
        ['GET', this.#key('rollout-controller')],
        ['GETRANGE', this.#key('rollout'), -TAIL_CHARS, -1],
        ['GET', this.#key('rollout-figures')],
      );
      const leading = transaction.unexpired(holder);
      const isController = leading === null || leading.hostId === hostId;
      const { nowMs } = transaction;
      const isKnown = Number(/"fence":(\d+)\}$/.exec(tail)?.[1]) === knownFence;
      const [text, newest] =
        isKnown || tail === ''
          ? [null, []]
          : await transaction.read(['GET', this.#key('rollout')], ['LRANGE', this.#key('rollout-decisions'), 0, -1]);
      if (isController) {
        const lease = JSON.stringify({ hostId, expiresMs: nowMs + this.#leaseMs });
        await transaction.commit([['SET', this.#key('rollout-controller'), lease]]);
      }
      const fence = isKnown ? knownFence : fenceOf(text);
      const made = newest.findIndex((entry) => fenceOf(entry) <= knownFence && fenceOf(entry) > 0);
      return {
        nowMs,
        fence,
        rollout: text === null || fence === knownFence ? null : this.#record(text),
        figures: figures === null ? null : this.#figures(figures),
        decisions: fence === knownFence ? [] : this.#decisions(made < 0 ? newest : newest.slice(0, made)).reverse(),
        isController,
      };
    });
  }

  async leave(hostId: string): Promise<void> {
    await transact(this.#store, async (transaction) => {
      if (await this.#controls(transaction, hostId))
        await transaction.commit([['DEL', this.#key('rollout-controller')]]);
    });
  }

  async change(change: RolloutChange, expectedFence: number, controller: string | null): Promise<number | null> {
    const { fence: _, ...record } = check(rollout, { ...change.rollout, fence: 0 }, this.#where);
    const { fence: __, ...made } = check(decision, { ...change.decision, fence: 0 }, `decision of ${this.#where}`);
    return transact(this.#store, async (transaction) => {
      const [current] = await transaction.read(['GET', this.#key('rollout')]);
      const fence = fenceOf(current);
      if (fence !== expectedFence) return null;
      if (controller !== null && !(await this.#controls(transaction, controller))) return null;
      const writes: Write[] = [
        ['SET', this.#key('rollout'), numbered(this.#json('rollout', record), 'fence')],
        ['LPUSH', this.#key('rollout-decisions'), numbered(this.#json('decision', made), 'fence')],
        ['LTRIM', this.#key('rollout-decisions'), 0, MOST_DECISIONS - 1],
      ];
      // The record may have been put back after a loss of data, with a fence that is ahead of the store's clock.
      return transaction.commit(writes, fence + 1);
    });
  }

  saveEvidence(controller: string, { figures, snapshot }: Evidence): Promise<boolean> {
    return transact(this.#store, async (transaction) => {
      const [text] = await transaction.read(['GET', this.#key('rollout')]);
      const current = decoded(text);
      if (current?.id !== figures.rollout || current.step !== figures.step) return false;
      if (!(await this.#controls(transaction, controller))) return false;
      await transaction.commit(this.#evidenceWrites({ figures, snapshot }));
      return true;
    });
  }

  /** Puts evidence back that another process has saved. */
  async putEvidence(evidence: Evidence): Promise<void> {
    await transact(this.#store, (transaction) => transaction.commit(this.#evidenceWrites(evidence)));
  }

  async evidence(): Promise<Evidence | null> {
    const { replies } = await this.#store.read([
      ['GET', this.#key('rollout-figures')],
      ['GET', this.#key('rollout-evidence')],
    ]);
    const figures = replies[0] === null ? null : this.#figures(replies[0]);
    return figures === null ? null : { figures, snapshot: this.#opened(replies[1]) };
  }

  restore(record: Rollout, decisions: readonly Decision[]): Promise<boolean> {
    return transact(this.#store, async (transaction) => {
      const [current, known] = await transaction.read(
        ['GET', this.#key('rollout')],
        ['EXISTS', this.#key('rollout-decisions')],
      );
      const { fence, ...unnumbered } = record;
      if (fenceOf(current) >= fence) return false;
      // The fence stands at the end and is not signed, as `change` writes it: `beat` looks for it there.
      const text = `${this.#json('rollout', unnumbered).slice(0, -1)},"fence":${fence}}`;
      const older = known === 1 ? [] : decisions.toReversed();
      await transaction.commit([
        ['SET', this.#key('rollout'), text],
        ...older.map((made): Write => ['RPUSH', this.#key('rollout-decisions'), this.#json('decision', made)]),
      ]);
      return true;
    });
  }

  async history(): Promise<readonly Decision[]> {
    const { replies } = await this.#store.read([['LRANGE', this.#key('rollout-decisions'), 0, -1]]);
    return this.#decisions(replies[0]);
  }

  /** The record as it is now; null if there is none. */
  async current(): Promise<Rollout | null> {
    const { replies } = await this.#store.read([['GET', this.#key('rollout')]]);
    return replies[0] === null ? null : this.#record(replies[0]);
  }

  #evidenceWrites({ figures, snapshot }: Evidence): Write[] {
    const writes: Write[] = [['SET', this.#key('rollout-figures'), this.#json('figures', figures)]];
    if (snapshot !== null) writes.push(['SET', this.#key('rollout-evidence'), this.#sealed(snapshot)]);
    return writes;
  }

  async #controls(transaction: Transaction, hostId: string): Promise<boolean> {
    const [holder] = await transaction.read(['GET', this.#key('rollout-controller')]);
    return transaction.unexpired(holder)?.hostId === hostId;
  }

  #key(name: string): string {
    return `${name}:${this.#pipeline}`;
  }

  get #where(): string {
    return `roll-out of ${this.#pipeline}`;
  }

  #record(text: string): Rollout | null {
    return this.#entries.read(rollout, text, this.#where, this.#place('rollout')) as Rollout | null;
  }

  #figures(text: string) {
    return this.#entries.read(rolloutFigures, text, `figures of ${this.#where}`, this.#place('figures'));
  }

  /** The snapshot is a text, which has no place for a signature, so a signed one is wrapped in a record. */
  #sealed(snapshot: string): string {
    return this.#signer === null ? snapshot : this.#json('evidence', { snapshot });
  }

  #opened(text: string | null): string | null {
    if (text === null || this.#signer === null) return text;
    const [where, place] = [`evidence of ${this.#where}`, this.#place('evidence')];
    return this.#entries.read(signedEvidence, text, where, place, MOST_EVIDENCE_CHARS)?.snapshot ?? null;
  }

  #place(kind: string): SignedPlace {
    return { place: `${kind}:${this.#pipeline}` };
  }

  #json(kind: string, record: object): string {
    return signedJson(this.#signer, this.#place(kind).place, record);
  }

  #decisions(texts: readonly string[]): Decision[] {
    return texts.flatMap((text) => {
      const read = this.#entries.read(decision, text, `decision of ${this.#where}`, this.#place('decision'));
      return read === null ? [] : [read as Decision];
    });
  }
}

/** Returns the fence of an entry; 0 if there is none. */
function fenceOf(text: string | null): number {
  return Number(decoded(text)?.fence) || 0;
}
