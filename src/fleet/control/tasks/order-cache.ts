import type { JobOrder } from '../../../wire/protocol/fleet.ts';
import type { JobRecords } from './job-records.ts';

/** An order can have several megabytes. All tasks of a job need the same one. */
const MAX_ORDERS = 8;

/** Caches the orders of the jobs whose tasks this process runs. */
export class OrderCache {
  readonly #records: Pick<JobRecords, 'order'>;
  /** By digest: an id may be reused for another order once its first job is removed. Most recently used last. */
  readonly #orders = new Map<string, Promise<JobOrder>>();

  constructor(records: Pick<JobRecords, 'order'>) {
    this.#records = records;
  }

  /** @throws JOB_NOT_FOUND, CONFIG_INVALID, CONTROL_UNREACHABLE */
  async get(jobId: string, digest: string): Promise<JobOrder> {
    const order = this.#orders.get(digest) ?? this.#records.order(jobId);
    this.#orders.delete(digest);
    this.#orders.set(digest, order);
    for (const oldest of this.#orders.keys()) {
      if (this.#orders.size <= MAX_ORDERS) break;
      this.#orders.delete(oldest);
    }
    try {
      return await order;
    } catch (error) {
      if (this.#orders.get(digest) === order) this.#orders.delete(digest);
      throw error;
    }
  }
}
