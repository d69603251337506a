import { HistoryDatabase } from './history-database.ts';
import { HistoryQueries } from './history-queries.ts';
import type { FromHistory, HistoryCalls, HistoryRequest, HistoryThreadData, HistoryWrite } from './history-records.ts';

const MAINTAIN_MS = 60_000;
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

  constructor(data: HistoryThreadData, send: (message: FromHistory) => void) {
    this.#send = send;
    this.#database = new HistoryDatabase({ ...data, onNotice: (text) => send({ type: 'notice', text }) });
    this.#queries = new HistoryQueries(this.#database);
    this.#maintenance = setInterval(() => this.#maintain(), MAINTAIN_MS);
    this.#maintain();
  }

  handle(request: HistoryRequest): void {
    if (isWrite(request)) {
      if (this.#writes.push(request) === 1) setTimeout(() => this.#flush(), this.#gatherMs);
      return;
    }
    this.#flush();
    if (request.method === 'close') this.#close(request.id);
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
    this.#reportLost();
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
    this.#reportLost();
  }

  #reportLost(): void {
    const { lost } = this.#database;
    if (lost !== this.#lost) this.#send({ type: 'lost', count: lost });
    this.#lost = lost;
  }

  #close(id: number): void {
    clearInterval(this.#maintenance);
    this.#database.close();
    this.#send({ type: 'answer', id, value: null });
  }
}

function isWrite(request: HistoryRequest): request is HistoryRequest<'write'> {
  return request.method === 'write';
}
