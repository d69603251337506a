import { type KeptEvent, keptEvent } from '../../../wire/protocol/fleet.ts';
import type { FleetEvents } from '../control-plane.ts';
import { EntryReader, type StoreOptions } from '../store/entry-reader.ts';
import { type FleetSigner, signedJson } from '../store/fleet-signer.ts';
import type { FleetStore, Write } from '../store/fleet-store.ts';
import { decoded, pairs, transact } from '../store/transaction.ts';

/** The events of a fleet, over the store that keeps its state. */
export class StoredEvents implements FleetEvents {
  readonly #store: FleetStore;
  readonly #signer: FleetSigner | null;
  readonly #entries: EntryReader;

  constructor(options: StoreOptions) {
    this.#store = options.store;
    this.#signer = options.signer ?? null;
    this.#entries = new EntryReader(options.incidents, this.#signer);
  }

  keep(
    streamId: string,
    hostId: string,
    fence: number,
    changes: ReadonlyMap<string, KeptEvent | null>,
  ): Promise<boolean> {
    const key = `events:${streamId}`;
    const writes = Array.from(changes, ([id, kept]): Write => {
      if (kept === null) return ['HDEL', key, id];
      return ['HSET', key, id, signedJson(this.#signer, placeOf(streamId, id), kept)];
    });
    return transact(this.#store, async (transaction) => {
      const [text] = await transaction.read(['HGET', 'leases', streamId]);
      const lease = transaction.unexpired(text);
      if (lease?.hostId !== hostId || lease.fence !== fence) return false;
      await transaction.commit(writes);
      return true;
    });
  }

  async kept(streamId: string): Promise<ReadonlyMap<string, KeptEvent | null>> {
    const { replies } = await this.#store.read([['HGETALL', `events:${streamId}`]]);
    return new Map(
      Array.from(pairs(replies[0]), ([id, text]) => {
        const signed = { place: placeOf(streamId, id) };
        const read = this.#entries.read(keptEvent, text, `event "${id}" of "${streamId}"`, signed);
        return [id, read as KeptEvent | null];
      }),
    );
  }

  async isWanted(streamId: string): Promise<boolean> {
    const { replies } = await this.#store.read([['HGET', 'orders', streamId]]);
    const order = decoded(replies[0]);
    return order !== null && order.isPaused !== true;
  }
}

function placeOf(streamId: string, id: string): string {
  return `event:${streamId}:${id}`;
}
