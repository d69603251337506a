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
import { EntryReader } from './entry-reader.ts';
import { rolloutScripts } from './rollout-scripts.ts';

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
  }) {
    this.#connection = options.connection;
    this.#prefix = options.prefix;
    this.#leaseMs = options.leaseMs;
    this.#pipeline = options.pipeline;
    this.#entries = new EntryReader(options.notices, options.incidents);
  }

  async beat({ hostId, knownFence }: RolloutBeat): Promise<RolloutReply> {
    const answer = (await this.#run('beat', [hostId, this.#leaseMs, knownFence])) as BeatAnswer;
    const [nowMs, fence, record, figures, decisions, isController] = answer;
    return {
      nowMs,
      fence,
      rollout: record === null ? null : (this.#entries.read(rollout, record, this.#where) as Rollout | null),
      figures: figures === null ? null : this.#entries.read(rolloutFigures, figures, `figures of ${this.#where}`),
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
    const args = [expectedFence, controller ?? '', JSON.stringify(record), JSON.stringify(made), MOST_DECISIONS];
    const fence = (await this.#run('change', args)) as number;
    return fence === 0 ? null : fence;
  }

  async saveEvidence(controller: string, { figures, snapshot }: Evidence): Promise<boolean> {
    const args = [controller, figures.rollout, figures.step, JSON.stringify(figures), snapshot ?? ''];
    return (await this.#run('saveEvidence', args)) === 1;
  }

  async evidence(): Promise<Evidence | null> {
    const [text, snapshot] = (await this.#run('evidence', [])) as [string | null, string | null];
    if (text === null) return null;
    const figures = this.#entries.read(rolloutFigures, text, `figures of ${this.#where}`);
    return figures === null ? null : { figures, snapshot };
  }

  async restore(record: Rollout, decisions: readonly Decision[]): Promise<boolean> {
    const args = [record.fence, JSON.stringify(record), ...decisions.toReversed().map((made) => JSON.stringify(made))];
    return (await this.#run('restore', args)) === 1;
  }

  async history(): Promise<readonly Decision[]> {
    return this.#decisions((await this.#run('history', [])) as string[]);
  }

  get #where(): string {
    return `roll-out of ${this.#pipeline}`;
  }

  #decisions(texts: readonly string[]): Decision[] {
    return texts.flatMap((text) => {
      const read = this.#entries.read(decision, text, `decision of ${this.#where}`);
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
