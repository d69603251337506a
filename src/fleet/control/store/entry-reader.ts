import type { z } from 'zod';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { check } from '../../../settings/config/check.ts';
import type { FleetSigner } from './fleet-signer.ts';
import type { FleetStore } from './fleet-store.ts';

/** A request that orders a stream has at most 256 KiB, and no other record is larger, except the evidence of a roll-out. */
const MAX_CHARS = 1024 * 1024;

/** What the rules over the state of a fleet share. */
export interface StoreOptions {
  readonly store: FleetStore;
  /** Counts entries that are ignored. */
  readonly incidents?: Incidents | undefined;
  /** Signs and checks records; null or absent: they are not signed. */
  readonly signer?: FleetSigner | null;
}

/** The place under which a record was signed, and which part of the entry it is; absent: all of it. */
export interface SignedPlace {
  readonly place: string;
  readonly part?: string | undefined;
}

/** Reads and validates entries in Redis. Another program or version may have written them: invalid ones are ignored. */
export class EntryReader {
  readonly #incidents: Incidents;
  readonly #signer: FleetSigner | null;
  /** Places of records that were signed with an old key, or not, and accepted. */
  readonly #outdated = new Set<string>();

  /**
   * @param incidents - counts ignored entries.
   * @param signer - checks the signatures of entries; null: they have none.
   */
  constructor(incidents: Incidents = new Incidents(), signer: FleetSigner | null = null) {
    this.#incidents = incidents;
    this.#signer = signer;
  }

  /**
   * @param signed - where its writer signed it; null for an entry that a script in Redis writes.
   * @param mostChars - longest text that is read.
   * @returns null, and counts the entry, if the text does not match the schema or is not signed.
   */
  read<S extends z.ZodType>(
    schema: S,
    text: string,
    where: string,
    signed: SignedPlace | null,
    mostChars = MAX_CHARS,
  ): z.output<S> | null {
    if (text.length > mostChars) {
      this.refuse('schema', `${where}: expected at most ${mostChars} characters, received ${text.length}`);
      return null;
    }
    try {
      const value = JSON.parse(text) as unknown;
      if (signed !== null && !this.isSigned(signed, value, where)) return null;
      return check(schema, value, where);
    } catch (error) {
      const isJson = error instanceof SightlineError;
      const complaint = isJson ? error.message : `${where}: expected JSON`;
      this.refuse(isJson ? 'schema' : 'json', complaint);
      return null;
    }
  }

  /** Returns whether a record is signed, and counts it if it is not. */
  isSigned({ place, part }: SignedPlace, value: unknown, where: string): boolean {
    if (this.#signer === null) return true;
    const record = part === undefined ? value : (value as Record<string, unknown> | null)?.[part];
    const signature = this.#signer.check(place, record);
    if (signature === 'old') this.#outdated.add(place);
    if (signature !== 'invalid') return true;
    this.refuse('signature', `${where}: it is not signed with a key of this fleet`);
    return false;
  }

  /** Returns whether a record that was read should be signed again; true only once. */
  takeOutdated(place: string): boolean {
    return this.#outdated.delete(place);
  }

  /** Counts an ignored entry. */
  refuse(reason: 'signature' | 'schema' | 'json', complaint: string): void {
    this.#incidents.refuse('redis-record', reason, () => `an entry in Redis was ignored: ${complaint}`);
  }
}
