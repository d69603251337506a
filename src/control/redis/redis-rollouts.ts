import { z } from 'zod';
import { check } from '../../config/check.ts';
import type { Incidents } from '../../flow/incidents.ts';
import {
  type Decision,
  decision,
  MOST_DECISIONS,
  type Rollout,
  rollout,
  rolloutFigures,
} from '../../protocol/rollout-records.ts';
import type { Notices } from '../notices.ts';
import type { Evidence, RolloutBeat, RolloutChange, RolloutReply, RolloutStore } from '../rollout/rollout-store.ts';
import type { RedisConnection } from './connect.ts';
import { EntryReader, type SignedPlace } from './entry-reader.ts';
import type { FleetSigner } from './fleet-signer.ts';
import { rolloutScripts } from './rollout-scripts.ts';

/** Evidence has about 80,000 characters for each stream. */
const MOST_EVIDENCE_CHARS = 64 * 1024 * 1024;

const signedEvidence = z.object({ snapshot: z.string() });

type BeatAnswer = [
  nowMs: number,
  fence: number,
  record: string | null,
  figures: string | null,
  decisions: string[],
  isController: number,
];

/** The roll-out of a pipeline in Redis. Every call is one script: one round trip, and atomic. */
export class RedisRollouts implements RolloutStore {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #pipeline: string;
  readonly #entries: EntryReader;
  readonly #signer: FleetSigner | null;

  /**
   * @param prefix - of every key, with its hash tag.
   * @param leaseMs - how long a host stays the controller without a beat.
   */
  constructor(options: {
    readonly connection: RedisConnection;
    readonly prefix: string;
    readonly leaseMs: number;
    readonly pipeline: string;
    readonly notices: Notices;
    readonly incidents?: Incidents | undefined;
    /** Signs and checks records; null or absent: they are not signed. */
    readonly signer?: FleetSigner | null;
  }) {
    this.#connection = options.connection;
    this.#prefix = options.prefix;
    this.#leaseMs = options.leaseMs;
    this.#pipeline = options.pipeline;
    this.#signer = options.signer ?? null;
    this.#entries = new EntryReader(options.notices, options.incidents, this.#signer);
  }

  async beat({ hostId, knownFence }: RolloutBeat): Promise<RolloutReply> {
    const answer = (await this.#run('beat', [hostId, this.#leaseMs, knownFence])) as BeatAnswer;
    const [nowMs, fence, record, figures, decisions, isController] = answer;
    return {
      nowMs,
      fence,
      rollout:
        record === null
          ? null
          : (this.#entries.read(rollout, record, this.#where, this.#place('rollout')) as Rollout | null),
      figures: figures === null ? null : this.#figures(figures),
      decisions: this.#decisions(decisions).reverse(),
      isController: isController === 1,
    };
  }

  async leave(hostId: string): Promise<void> {
    await this.#run('leave', [hostId]);
  }

  async change(change: RolloutChange, expectedFence: number, controller: string | null): Promise<number | null> {
    const record = withoutFence(check(rollout, { ...change.rollout, fence: 0 }, this.#where));
    const made = withoutFence(check(decision, { ...change.decision, fence: 0 }, `decision of ${this.#where}`));
    const args = [
      expectedFence,
      controller ?? '',
      this.#json('rollout', record),
      this.#json('decision', made),
      MOST_DECISIONS,
    ];
    const fence = (await this.#run('change', args)) as number;
    return fence === 0 ? null : fence;
  }

  async saveEvidence(controller: string, { figures, snapshot }: Evidence): Promise<boolean> {
    const args = [controller, figures.rollout, figures.step, this.#json('figures', figures), this.#sealed(snapshot)];
    return (await this.#run('saveEvidence', args)) === 1;
  }

  async evidence(): Promise<Evidence | null> {
    const [text, snapshot] = (await this.#run('evidence', [])) as [string | null, string | null];
    if (text === null) return null;
    const figures = this.#figures(text);
    return figures === null ? null : { figures, snapshot: this.#opened(snapshot) };
  }

  async restore(record: Rollout, decisions: readonly Decision[]): Promise<boolean> {
    const args = [
      record.fence,
      this.#json('rollout', record),
      ...decisions.toReversed().map((made) => this.#json('decision', made)),
    ];
    return (await this.#run('restore', args)) === 1;
  }

  async history(): Promise<readonly Decision[]> {
    return this.#decisions((await this.#run('history', [])) as string[]);
  }

  get #where(): string {
    return `roll-out of ${this.#pipeline}`;
  }

  #figures(text: string) {
    return this.#entries.read(rolloutFigures, text, `figures of ${this.#where}`, this.#place('figures'));
  }

  /** The snapshot is a text, which has no place for a signature, so a signed one is wrapped in a record. */
  #sealed(snapshot: string | null): string {
    if (snapshot === null || this.#signer === null) return snapshot ?? '';
    return this.#json('evidence', { snapshot });
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
    return JSON.stringify(this.#signer === null ? record : this.#signer.sign(this.#place(kind).place, record));
  }

  #decisions(texts: readonly string[]): Decision[] {
    return texts.flatMap((text) => {
      const read = this.#entries.read(decision, text, `decision of ${this.#where}`, this.#place('decision'));
      return read === null ? [] : [read as Decision];
    });
  }

  #run(name: keyof typeof rolloutScripts, args: readonly (string | number)[]): Promise<unknown> {
    return this.#connection.call((client) => rolloutScripts[name].run(client, this.#prefix, [this.#pipeline, ...args]));
  }
}

function withoutFence<T extends { readonly fence: number }>({ fence: _, ...rest }: T): Omit<T, 'fence'> {
  return rest;
}
