import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { LARGEST_INT64 } from '../graph.ts';
import { invalid } from '../refusals.ts';

/** Wire types of protobuf fields. */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Number of messages allowed in any file. */
const FREE_MESSAGES = 50_000;
/** Above that, one message per this many bytes of the file. Real graphs have more than 60 bytes per message. */
const BYTES_PER_MESSAGE = 32;

/**
 * Limits the number of messages of a file. An empty message takes two bytes but becomes a much larger object, so without a limit a
 * small file could allocate gigabytes.
 */
export class MessageBudget {
  #left: number;
  readonly #where: string;

  constructor(fileBytes: number, where: string) {
    this.#left = FREE_MESSAGES + Math.floor(fileBytes / BYTES_PER_MESSAGE);
    this.#where = where;
  }

  /** @throws MODEL_INVALID if the file has too many messages for its size. */
  take(count = 1): void {
    this.#left -= count;
    if (this.#left < 0)
      throw invalid(`${this.#where}: expected a graph, received a file with far too many parts for its size`);
  }
}

/**
 * Reads the fields of one protobuf message without copying: byte fields are views of the file. Checks every length, and never
 * reads past the end of the message.
 *
 * Throws MODEL_INVALID with the position in the file.
 */
export class WireReader {
  /** Number of the current field. */
  field = 0;
  wire = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #end: number;
  readonly #where: string;
  #at: number;
  #low = 0;
  #high = 0;

  /** @param where - file name, for messages. */
  constructor(bytes: Uint8Array, where: string, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
    this.#start = start;
    this.#at = start;
    this.#end = end;
  }

  /** Returns a reader of the same message from its beginning. */
  again(): WireReader {
    return new WireReader(this.#bytes, this.#where, this.#start, this.#end);
  }

  /** Size of the message in bytes. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Moves to the next field; false at the end of the message. The caller must then read or skip the value. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    this.#readVarint();
    this.field = this.#low >>> 3;
    this.wire = this.#low & 7;
    if (this.field === 0 || this.#high !== 0) throw this.#broken('a field without a number');
    return true;
  }

  skip(): void {
    if (this.wire === WIRE.varint) this.#readVarint();
    else if (this.wire === WIRE.bytes) this.#at = this.#span().end;
    else if (this.wire === WIRE.fixed32) this.#advance(4);
    else if (this.wire === WIRE.fixed64) this.#advance(8);
    else throw this.#broken(`wire type ${this.wire}`);
  }

  /** Reads a signed integer; beyond 2^53 it is rounded, to `LARGEST_INT64` at most. */
  integer(): number {
    this.#require(WIRE.varint);
    this.#readVarint();
    return numberOf(this.#low, this.#high);
  }

  float(): number {
    this.#require(WIRE.fixed32);
    return this.#view.getFloat32(this.#advance(4), true);
  }

  /** Returns the bytes of the field, as a view of the file. */
  bytes(): Uint8Array {
    const { start, end } = this.#span();
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  text(): string {
    return Buffer.from(this.bytes()).toString();
  }

  /** Returns a reader of the message in the field. */
  message(): WireReader {
    const { start, end } = this.#span();
    this.#at = end;
    return new WireReader(this.#bytes, this.#where, start, end);
  }

  /** Returns the text of the last field with this number, from the beginning of the message; empty if there is none. */
  textAt(field: number): string {
    let text = '';
    for (const reader = this.again(); reader.next(); ) {
      if (reader.field === field) text = reader.text();
      else reader.skip();
    }
    return text;
  }

  /** Returns the message in the last field with this number, from the beginning of this one; undefined if there is none. */
  messageAt(field: number): WireReader | undefined {
    let found: WireReader | undefined;
    for (const reader = this.again(); reader.next(); ) {
      if (reader.field === field) found = reader.message();
      else reader.skip();
    }
    return found;
  }

  /**
   * Appends the integers of the field to a list, packed or single.
   *
   * @param max - maximum length of the list.
   */
  integersInto(list: number[], max = Number.POSITIVE_INFINITY): void {
    this.eachVarint((low, high) => {
      if (list.length >= max) throw this.#broken(`a list of more than ${max} numbers`);
      list.push(numberOf(low, high));
    });
  }

  /** Calls back with the offset of every 4- or 8-byte number of the field, packed or single. */
  eachFixed(width: 4 | 8, take: (view: DataView, at: number) => void): void {
    if (this.wire !== WIRE.bytes) {
      this.#require(width === 4 ? WIRE.fixed32 : WIRE.fixed64);
      take(this.#view, this.#advance(width));
      return;
    }
    const packed = this.message();
    while (packed.#at < packed.#end) take(this.#view, packed.#advance(width));
  }

  /** Calls back with the low and high 32 bits of every integer of the field, packed or single. */
  eachVarint(take: (low: number, high: number) => void): void {
    const source = this.wire === WIRE.bytes ? this.message() : this;
    if (source === this) this.#require(WIRE.varint);
    do {
      if (source !== this && source.#at >= source.#end) return;
      source.#readVarint();
      take(source.#low, source.#high);
    } while (source !== this);
  }

  #require(wire: number): void {
    if (this.wire !== wire) throw this.#broken(`field ${this.field} with wire type ${this.wire} in place of ${wire}`);
  }

  #span(): { start: number; end: number } {
    this.#require(WIRE.bytes);
    this.#readVarint();
    const start = this.#at;
    if (this.#high !== 0 || this.#low > this.#end - start) {
      const length = (this.#high >>> 0) * 2 ** 32 + this.#low;
      throw this.#broken(`field ${this.field} of ${length} bytes, and ${this.#end - start} are left in its message`);
    }
    return { start, end: start + this.#low };
  }

  #advance(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#end - start) throw this.#broken('a message that ends inside a number');
    this.#at = start + bytes;
    return start;
  }

  /** Reads a varint: at most ten bytes of seven bits, lowest first. */
  #readVarint(): void {
    let [low, high] = [0, 0];
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw this.#broken('a message that ends inside a number');
      const byte = this.#bytes[this.#at]!;
      this.#at += 1;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= bits << 31;
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high | 0;
        return;
      }
    }
    throw this.#broken('a number of more than ten bytes');
  }

  #broken(what: string): SightlineError {
    return new SightlineError(
      'MODEL_INVALID',
      `${this.#where}: expected an ONNX file, received other data (${what} at byte ${this.#at})`,
      { byte: this.#at },
    );
  }
}

function numberOf(low: number, high: number): number {
  return Math.min(high * 2 ** 32 + low, LARGEST_INT64);
}
