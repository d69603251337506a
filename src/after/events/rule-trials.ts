import { Worker } from 'node:worker_threads';
import { workerEntry } from '../../base/core/worker-entry.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { KeyedMutex } from '../../base/flow/keyed-mutex.ts';
import type { SeenTrialOutcome, SeenTrialRequest } from './seen-trial.ts';

/** Trials that wait for the one that runs; a page that is typed into sends one after the other. */
const MOST_WAITING = 4;
const MOST_MS = 20_000;
const MOST_MB = 256;

/** Tries rules in a thread that ends with its trial, one at a time: what a rule costs, and how long, no stream feels. */
export class RuleTrials {
  readonly #turns = new KeyedMutex();
  readonly #mostMs: number;
  #waiting = 0;
  #worker: Worker | null = null;
  #isClosed = false;

  constructor(mostMs = MOST_MS) {
    this.#mostMs = mostMs;
  }

  /** @throws LIMIT_REACHED if too many wait, or if it takes too long. */
  async try(request: SeenTrialRequest): Promise<SeenTrialOutcome> {
    if (this.#waiting > MOST_WAITING)
      throw new SightlineError('LIMIT_REACHED', `${this.#waiting} trials of rules run or wait; try again in a moment`);
    this.#waiting += 1;
    try {
      return await this.#turns.run('', () => this.#run(request));
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Ends the trial that runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
  }

  async #run(workerData: SeenTrialRequest): Promise<SeenTrialOutcome> {
    if (this.#isClosed) throw new SightlineError('LIMIT_REACHED', 'the host is stopping, so no rules are tried');
    const resourceLimits = { maxOldGenerationSizeMb: MOST_MB };
    const worker = new Worker(workerEntry('rule-trial.thread'), { workerData, resourceLimits });
    this.#worker = worker;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const refuse = (why: string): void => reject(new SightlineError('LIMIT_REACHED', why));
        worker.once('message', resolve);
        worker.once('error', ({ message }) => refuse(`the rules could not be tried: ${message}`));
        worker.once('exit', () => refuse('the thread that tried the rules ended'));
        const tooLong = `the rules need more than ${this.#mostMs / 1000} s for what was seen in an hour: try fewer, or simpler ones`;
        timer = setTimeout(() => refuse(tooLong), this.#mostMs);
      });
    } finally {
      clearTimeout(timer);
      this.#worker = null;
      await worker.terminate();
    }
  }
}
