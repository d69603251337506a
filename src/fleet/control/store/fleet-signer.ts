import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '../../../base/core/canonical-json.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** A word in the list of keys: unsigned messages and records are accepted too, while a fleet changes to signing. */
const UNSIGNED = 'unsigned';
const MIN_KEY_CHARS = 32;

/** How far the clocks of two hosts may differ, and how late a message may arrive, in ms. */
export const REPLAY_WINDOW_MS = 60_000;

/** Fields that a commit adds to a record, so its writer cannot sign them. */
const ADDED_LATER = ['revision', 'fence'];

type SealRefusal = 'signature' | 'replay';
export type Opened = { readonly text: string } | { readonly refusal: SealRefusal; readonly why: string };
/** `old`: valid, but not signed with the current key. */
export type Signature = 'current' | 'old' | 'invalid';

/**
 * Signs what the hosts of a fleet send each other, with HMAC-SHA256 and a key that Redis does not know. A record is signed
 * together with its place, so that one cannot be copied to another; a message together with its channel, the time, and its
 * number, so that none can be sent again.
 */
export class FleetSigner {
  readonly #keys: readonly Buffer[];
  readonly #acceptsUnsigned: boolean;
  readonly #fleet: string;
  readonly #nowMs: () => number;
  /** Names this process as a sender of messages. */
  readonly #sender = randomBytes(9).toString('base64url');
  #sentCount = 0;
  /** The last message of each route and sender. */
  readonly #received = new Map<string, { readonly number: number; readonly sentMs: number }>();

  /**
   * @param keys - separated by commas or white space, each of at least 32 characters: the first one signs, all are accepted, so a key
   *   is replaced in two steps. The word `unsigned` in the list accepts what is not signed. Throws CONFIG_INVALID.
   * @param fleet - prefix of all keys of the fleet in Redis: fleets that share a key cannot exchange records.
   * @param nowMs - the time of day, which hosts share; a clock of this process would stand still while it is suspended.
   */
  constructor(keys: string, fleet: string, nowMs: () => number = Date.now) {
    const words = keys.split(/[\s,]+/).filter((word) => word !== '');
    const secrets = words.filter((word) => word !== UNSIGNED);
    const short = secrets.findIndex((word) => word.length < MIN_KEY_CHARS);
    if (secrets.length === 0 || short >= 0) {
      const received = short < 0 ? 'no key' : `${secrets[short]!.length} in key ${short + 1}`;
      throw new SightlineError(
        'CONFIG_INVALID',
        `SIGHTLINE_FLEET_KEYS: expected keys of at least ${MIN_KEY_CHARS} characters, received ${received}; "openssl rand -hex 32" makes one`,
      );
    }
    this.#keys = secrets.map((word) => Buffer.from(word));
    this.#acceptsUnsigned = words.includes(UNSIGNED);
    this.#fleet = fleet;
    this.#nowMs = nowMs;
  }

  /** Returns the record with its signature. @param place - names it among all records of the fleet. */
  sign<T extends object>(place: string, record: T): T & { readonly signature: string } {
    return { ...record, signature: this.#mac(this.#keys[0]!, recordText(`${this.#fleet}:${place}`, record)) };
  }

  /** @param record - as it was read, with fields that this version does not know. */
  check(place: string, record: unknown): Signature {
    const signature = typeof record === 'object' && record !== null && 'signature' in record ? record.signature : null;
    if (typeof signature !== 'string') return this.#acceptsUnsigned ? 'old' : 'invalid';
    const index = this.#keyOf(recordText(`${this.#fleet}:${place}`, record as object), signature);
    if (index < 0) return 'invalid';
    return index === 0 ? 'current' : 'old';
  }

  /** Returns the text as it is sent: `MAC.SENDER.NUMBER.TIME.TEXT`. */
  seal(channel: string, text: string): string {
    this.#sentCount += 1;
    const message = `${this.#sender}.${this.#sentCount}.${this.#nowMs()}.${text}`;
    return `${this.#mac(this.#keys[0]!, `${channel}\n${message}`)}.${message}`;
  }

  /**
   * Messages of one sender must be opened in the order in which they arrive.
   *
   * @param route - the subscription that received it: two that match deliver a message twice.
   */
  open(route: string, channel: string, sealed: string): Opened {
    if (sealed.startsWith('{') && this.#acceptsUnsigned) return { text: sealed };
    const parts = /^([\w-]{43})\.([\w-]{12})\.(\d{1,15})\.(\d{1,15})\./.exec(sealed);
    if (parts === null) return { refusal: 'signature', why: 'it is not signed' };
    const [head, mac, sender, number, time] = parts as unknown as [string, string, string, string, string];
    if (this.#keyOf(`${channel}\n${sealed.slice(mac.length + 1)}`, mac) < 0)
      return { refusal: 'signature', why: 'it is not signed with a key of this fleet' };
    const [sentMs, nowMs] = [Number(time), this.#nowMs()];
    if (Math.abs(nowMs - sentMs) > REPLAY_WINDOW_MS) {
      const seconds = Math.round((nowMs - sentMs) / 1000);
      return {
        refusal: 'replay',
        why: `it was sent ${seconds} s ago by its sender's clock, expected at most ${REPLAY_WINDOW_MS / 1000} s; synchronise the clocks of the hosts`,
      };
    }
    const key = `${route} ${sender}`;
    const last = this.#received.get(key);
    if (last !== undefined && Number(number) <= last.number)
      return { refusal: 'replay', why: `it has number ${number} of its sender, expected more than ${last.number}` };
    this.#remember(key, Number(number), sentMs, nowMs);
    return { text: sealed.slice(head.length) };
  }

  /** Senders whose last message is remembered, on all routes. */
  get senderCount(): number {
    return this.#received.size;
  }

  /** Forgets senders whose messages are too old to be accepted again. */
  #remember(key: string, number: number, sentMs: number, nowMs: number): void {
    this.#received.delete(key);
    this.#received.set(key, { number, sentMs });
    for (const [oldest, last] of this.#received) {
      if (nowMs - last.sentMs <= REPLAY_WINDOW_MS) break;
      this.#received.delete(oldest);
    }
  }

  #keyOf(text: string, mac: string): number {
    const given = Buffer.from(mac);
    return this.#keys.findIndex((key) => {
      const expected = Buffer.from(this.#mac(key, text));
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }

  #mac(key: Buffer, text: string): string {
    return createHmac('sha256', key).update(text).digest('base64url');
  }
}

/** Returns a record as JSON, with its signature if the fleet signs. @param place - names it among all records of the fleet. */
export function signedJson(signer: FleetSigner | null, place: string, record: object): string {
  return JSON.stringify(signer === null ? record : signer.sign(place, record));
}

/** The text that is signed. Not part of it: the signature, and what a commit adds. */
function recordText(place: string, record: object): string {
  const own = Object.entries(record).filter(([key]) => key !== 'signature' && !ADDED_LATER.includes(key));
  return `${place}\n${canonicalJson(Object.fromEntries(own))}`;
}
