import type { FastifyRequest } from 'fastify';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { addressKey } from './access/attempt-limit.ts';
import { addressOf } from './client-address.ts';

interface Place {
  readonly owner: string;
  readonly end: () => void;
}

/**
 * Bounds how many replies without an end are sent at once. Once all places are taken, a user with fewer gets the oldest of the user that has
 * most. A user is a token, or someone whom a proxy has signed in; without tokens, an address.
 */
export class FairPlaces {
  readonly #most: number;
  readonly #what: string;
  /** In order of arrival. */
  readonly #places = new Set<Place>();

  /** @param what - what a place is for, as in `all 64 places for WHAT are taken`. */
  constructor(most: number, what: string) {
    this.#most = most;
    this.#what = what;
  }

  /**
   * @param end - called if another user gets the place.
   * @returns what gives the place back; more calls do nothing.
   * @throws LIMIT_REACHED
   */
  take(request: FastifyRequest, end: () => void): () => void {
    const owner = ownerOf(request);
    if (this.#places.size >= this.#most) this.#displace(owner);
    const place = { owner, end };
    this.#places.add(place);
    return () => void this.#places.delete(place);
  }

  #displace(owner: string): void {
    const byOwner = new Map<string, Place[]>();
    for (const place of this.#places) byOwner.set(place.owner, [...(byOwner.get(place.owner) ?? []), place]);
    const own = byOwner.get(owner)?.length ?? 0;
    const busiest = [...byOwner.values()].reduce((most, some) => (some.length > most.length ? some : most));
    if (busiest.length <= own + 1)
      throw new SightlineError(
        'LIMIT_REACHED',
        `all ${this.#most} places for ${this.#what} are taken, ${own} by you; end one of yours, or try again later`,
      );
    const [oldest] = busiest;
    this.#places.delete(oldest!);
    oldest!.end();
  }
}

function ownerOf(request: FastifyRequest): string {
  const { identity } = request;
  if (identity === null || identity.hash === '') return addressKey(addressOf(request));
  return `${identity.hash} ${identity.name}`;
}
