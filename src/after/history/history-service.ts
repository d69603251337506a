import { runInChild } from '../../frame/runtime/model/run-in-child.ts';
import { HistoryDatabase } from './history-database.ts';
import { HistoryQueries } from './history-queries.ts';
import type { FromHistory, HistoryCalls, HistoryRequest, HistoryThreadData, HistoryWrite } from './history-records.ts';

/** How often old rows are deleted and the file is looked at; and how often it is read as a whole, or at once if another program wrote it. */
const TIMES = { maintainMs: 60_000, checkMs: 86_400_000 };
/** Writes of this long go to the disk together: each wait for it costs more than they do. A slow disk gets longer ones, to be idle most of the time. */
const GATHER_MS = { least: 10, most: 100, writes: 4 };

type Questions = Exclude<keyof HistoryCalls, 'write' | 'close'>;

/**
 * The history inside of its thread. What came together is written together, since each wait for the disk takes milliseconds; a
 * question sees all that was sent before it.
 */
export class HistoryService {
  readonly #database: HistoryDatabase;
  readonly #queries: HistoryQueries;
  readonly #send: (message: FromHistory) => void;
  readonly #maintenance: NodeJS.Timeout;
  #writes: HistoryRequest<'write'>[] = [];
  #gatherMs = GATHER_MS.least;
  #lost = 0;
  #problem: string | null = null;
  readonly #checkMs: number;
  /** When the file was last read as a whole, by `performance.now()`. */
  #checkedMs = performance.now();
  #checking: Promise<void> | null = null;
  readonly #stop = new AbortController();

  constructor(data: HistoryThreadData, send: (message: FromHistory) => void, { maintainMs, checkMs } = TIMES) {
    this.#send = send;
    this.#checkMs = checkMs;
    this.#database = new HistoryDatabase({
      ...data,
      onNotice: (text) => send({ type: 'notice', text }),
      onRenewed: (text) => send({ type: 'renewed', text }),
    });
    this.#queries = new HistoryQueries(this.#database);
    this.#maintenance = setInterval(() => this.#maintain(), maintainMs);
    this.#maintain();
  }

  /** Resolves at once, and to a request to close when it is closed. */
  async handle(request: HistoryRequest): Promise<void> {
    if (isWrite(request)) {
      if (this.#writes.push(request) === 1) setTimeout(() => this.#flush(), this.#gatherMs);
      return;
    }
    this.#flush();
    if (request.method === 'close') await this.#close(request.id);
    else void this.#answer(request as HistoryRequest<Questions>);
  }

  #flush(): void {
    const writes = this.#writes;
    if (writes.length === 0) return;
    this.#writes = [];
    const beganMs = performance.now();
    const value = this.#write(writes.map(({ argument }) => argument));
    const tookMs = performance.now() - beganMs;
    this.#gatherMs = Math.min(Math.max(GATHER_MS.least, GATHER_MS.writes * tookMs), GATHER_MS.most);
    this.#send({ type: 'written', ids: writes.map(({ id }) => id), value });
    this.#reportState();
  }

  #write(writes: readonly HistoryWrite[]): boolean {
    try {
      return this.#database.write(writes);
    } catch (error) {
      // Not even in memory.
      this.#send({ type: 'notice', text: `the history cannot keep what it was given: ${(error as Error).message}` });
      return false;
    }
  }

  async #answer({ id, method, argument }: HistoryRequest<Questions>): Promise<void> {
    try {
      const ask = this.#queries[method] as (argument: unknown) => unknown;
      const value = await ask.call(this.#queries, argument);
      this.#send({ type: 'answer', id, value });
    } catch (error) {
      this.#send({ type: 'refusal', id, message: (error as Error).message });
    }
  }

  #maintain(): void {
    try {
      this.#database.maintain();
    } catch {
      // The next write says what is wrong with the disk.
    }
    this.#reportState();
    const isDue = performance.now() - this.#checkedMs >= this.#checkMs;
    if (this.#checking === null && (this.#database.takeTouched() || isDue)) this.#checking = this.#check();
  }

  /** Reads the file as a whole, in a process of its own, so that nothing waits for it. */
  async #check(): Promise<void> {
    const { path } = this.#database;
    this.#checkedMs = performance.now();
    if (path !== null) {
      const { signal } = this.#stop;
      const check = runInChild<string | null>('history-check.process', { path }, 'the check of the history', {
        signal,
      });
      const damage = await check.catch(() => null);
      if (damage !== null && !signal.aborted) this.#database.renew(damage);
    }
    this.#checking = null;
  }

  #reportState(): void {
    const { lost, problem } = this.#database;
    if (lost !== this.#lost) this.#send({ type: 'lost', count: lost });
    if (problem !== this.#problem) this.#send({ type: 'problem', problem });
    this.#lost = lost;
    this.#problem = problem;
  }

  async #close(id: number): Promise<void> {
    clearInterval(this.#maintenance);
    this.#stop.abort();
    await this.#checking;
    this.#database.close();
    this.#send({ type: 'answer', id, value: null });
  }
}

function isWrite(request: HistoryRequest): request is HistoryRequest<'write'> {
  return request.method === 'write';
}
