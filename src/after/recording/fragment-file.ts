import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { parseFragment } from '../../frame/decode/fragment-reader.ts';
import { maskConfig } from '../../settings/config/track.ts';
import { GAP_REASONS, type GapReason } from '../../wire/protocol/packets.ts';
import type { KeptFragment } from './packet-ring.ts';
import { openStored } from './stored-file.ts';

/** Extended type of the boxes with our index, which players skip. */
const INDEX_UUID = Buffer.from('7d9a3b1c52e84f0fa1c4e3b7d2065e91', 'hex');
const BOX_HEAD_BYTES = 8 + INDEX_UUID.length;
/** A box of the index is smaller. */
const MOST_INDEX_BYTES = 4096;
/** `ftyp`, `moov` of one track without samples, and the head. */
const MOST_HEAD_BYTES = 65_536;

const headSchema = z.object({
  stream: z.string(),
  timescale: z.number().positive(),
  codec: z.string(),
  /** Media time, as in results, at which the time of the file is 0. */
  originUs: z.number(),
  /** What was asked for, in media time; absent of recordings. */
  askedFromUs: z.number().optional(),
  /** What its pictures must hide, as far as that was known when it was begun; absent if nothing. */
  masks: z.array(maskConfig).optional(),
});
/** What a file says of itself. */
export type FileHead = z.infer<typeof headSchema>;

const recordSchema = z.object({
  /** Of `moof` and `mdat`. */
  bytes: z.number().int().positive(),
  /** Of the fragment as the camera's packets gave it: before `added` ticks were added to its decoding time. */
  sha256: z.string(),
  added: z.number(),
  /** Added to the times of its connection for those of results. */
  shiftUs: z.number(),
  key: z.boolean(),
  frames: z.number().int().positive(),
  /** Media time as in results: of its first picture, the first that is shown, and the end. */
  firstUs: z.number(),
  startUs: z.number(),
  endUs: z.number(),
  /** Wall clock at its end, milliseconds since 1970. */
  endMs: z.number(),
  gap: z.enum(GAP_REASONS).optional(),
  /** Of the events that it shows; absent if it shows none, or was written by an earlier version. */
  labels: z.string().optional(),
  /** Hash of the record before; empty of the first. */
  before: z.string(),
});
type FragmentRecord = z.infer<typeof recordSchema>;

/** A fragment in a file. */
export interface IndexedFragment extends FragmentRecord {
  /** Where its `moof` begins. */
  readonly at: number;
}

/** All that a file holds. */
export interface FileIndex {
  readonly head: FileHead;
  readonly init: Buffer;
  readonly fragments: readonly IndexedFragment[];
  /** Up to the end of the last whole fragment. */
  readonly wholeBytes: number;
  /** Of the file: more than `wholeBytes` after a kill. */
  readonly fileBytes: number;
}

/**
 * Fragmented MP4 that is its own index: before each fragment stands a box with its record, and both are written at once. What a kill
 * leaves is cut off at the last whole fragment (ADR 97).
 */
export class FragmentFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #head: FileHead;
  readonly #init: Uint8Array;
  #bytes: number;
  #before = '';
  /** What is added to the ticks of a connection. */
  #added: { readonly connection: string; readonly ticks: number } | null = null;

  private constructor({
    path,
    handle,
    head,
    init,
    bytes,
  }: {
    readonly path: string;
    readonly handle: FileHandle;
    readonly head: FileHead;
    readonly init: Uint8Array;
    readonly bytes: number;
  }) {
    this.path = path;
    this.#handle = handle;
    this.#head = head;
    this.#init = init;
    this.#bytes = bytes;
  }

  /** @throws the system's error; nothing is left then. */
  static async create(
    path: string,
    { fragment, opened }: KeptFragment,
    asked: Pick<FileHead, 'askedFromUs' | 'masks'>,
  ): Promise<FragmentFile> {
    const { stream, timescale, init, codec } = opened;
    const { firstUs, firstTicks, baseTicks } = fragment;
    const originUs = firstUs - Math.round(((firstTicks - baseTicks) / timescale) * 1e6);
    const head = { stream, timescale, codec, originUs, ...asked };
    const handle = await open(path, 'wx');
    const file = new FragmentFile({ path, handle, head, init, bytes: 0 });
    try {
      await file.#write([init, indexBox(head)]);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return file;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether fragments of a connection can follow: they are of the same format. */
  fits({ opened }: KeptFragment): boolean {
    return Buffer.compare(this.#init, opened.init) === 0;
  }

  /** Writes a fragment, whole or not at all. @throws the system's error */
  async append({ fragment, opened, gap }: KeptFragment, labels?: string): Promise<void> {
    const { bytes, sha256, isKey, frames, firstUs, firstTicks, startUs, endUs, endMs, baseTicks, baseAt } = fragment;
    const { connection, timescale, shiftUs } = opened;
    if (this.#added?.connection !== connection) {
      const ticks = Math.round(((firstUs - this.#head.originUs) / 1e6) * timescale) - firstTicks;
      this.#added = { connection, ticks: this.#added === null ? -baseTicks : ticks };
    }
    const added = this.#added.ticks;
    const record: FragmentRecord = {
      bytes: bytes.length,
      sha256,
      added,
      shiftUs,
      key: isKey,
      frames,
      firstUs,
      startUs,
      endUs,
      endMs,
      ...(gap === null ? {} : { gap }),
      ...(labels === undefined ? {} : { labels }),
      before: this.#before,
    };
    const parts = [indexBox(record), bytes.subarray(0, baseAt), ticksOf(baseTicks + added), bytes.subarray(baseAt + 8)];
    await this.#write(parts);
    this.#before = hashOf(record);
  }

  /** Writes what the system still holds of it to disk. */
  async close(): Promise<void> {
    await this.#handle.datasync().finally(() => this.#handle.close());
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    try {
      const { bytesWritten } = await this.#handle.writev(parts, this.#bytes);
      if (bytesWritten < bytes) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      this.#bytes += bytes;
    } catch (error) {
      await this.#handle.truncate(this.#bytes).catch(() => undefined);
      throw error;
    }
  }
}

/** How a file begins. @throws RECORDING_DAMAGED */
async function readHead(path: string, handle: FileHandle): Promise<Pick<FileIndex, 'head' | 'init'> & { at: number }> {
  const beginning = await readAt(handle, 0, MOST_HEAD_BYTES);
  let at = 0;
  for (const type of ['ftyp', 'moov']) {
    if (beginning.length < at + 8 || beginning.toString('latin1', at + 4, at + 8) !== type)
      throw damaged(path, `no ${type}`);
    at += beginning.readUInt32BE(at);
  }
  const found = indexAt(beginning, at, headSchema);
  if (found === null) throw damaged(path, 'no index');
  return { head: found.value, init: beginning.subarray(0, at), at: at + found.boxBytes };
}

async function readAt(handle: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  const { bytesRead } = await handle.read(buffer, 0, bytes, at);
  return buffer.subarray(0, bytesRead);
}

/** Reads the index of a file. @throws RECORDING_DAMAGED if it has no beginning, or is not itself a file; see `stored-file`. */
export async function readIndex(path: string): Promise<FileIndex> {
  const { handle, size: fileBytes } = await openStored(path);
  try {
    const { head, init, ...beginning } = await readHead(path, handle);
    let { at } = beginning;
    const fragments: IndexedFragment[] = [];
    for (;;) {
      const next = indexAt(await readAt(handle, at, MOST_INDEX_BYTES), 0, recordSchema);
      if (next === null || at + next.boxBytes + next.value.bytes > fileBytes) break;
      fragments.push({ ...next.value, at: at + next.boxBytes });
      at += next.boxBytes + next.value.bytes;
    }
    return { head, init, fragments, wholeBytes: at, fileBytes };
  } finally {
    await handle.close();
  }
}

/** As `readIndex`, of a file that is complete. @throws RECORDING_DAMAGED also if not one fragment of it is whole. */
export async function readComplete(path: string): Promise<FileIndex> {
  const index = await readIndex(path);
  if (index.fragments.length === 0) throw damaged(path, 'no whole fragment');
  return index;
}

/** Requires that a video begins as a recording does, and has a whole fragment. Reads only that. @throws RECORDING_DAMAGED */
export async function requireRecording(path: string, handle: FileHandle, fileBytes: number): Promise<void> {
  const { at } = await readHead(path, handle);
  const first = indexAt(await readAt(handle, at, MOST_INDEX_BYTES), 0, recordSchema);
  if (first === null || at + first.boxBytes + first.value.bytes > fileBytes) throw damaged(path, 'no whole fragment');
}

/** Cuts off what a kill left half written. @returns null if nothing whole is in the file. */
export async function recover(path: string): Promise<FileIndex | null> {
  const index = await readIndex(path).catch(() => null);
  if (index === null || index.fragments.length === 0) return null;
  if (index.wholeBytes < index.fileBytes) {
    const { handle } = await openStored(path, 'write');
    await handle.truncate(index.wholeBytes).finally(() => handle.close());
  }
  return index;
}

/** What a file shows, and what it lacks. Media time as in results, in microseconds. */
export interface FileSummary {
  readonly codec: string;
  /** At which the time of the video is 0. */
  readonly originUs: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly frames: number;
  /** By how much it begins later than it was to. */
  readonly lateUs: number;
  readonly gaps: readonly { readonly fromUs: number; readonly toUs: number; readonly reason: GapReason }[];
}

export function summaryOf({ head, fragments }: Pick<FileIndex, 'head' | 'fragments'>): FileSummary {
  const [startUs, endUs] = [fragments[0]?.firstUs ?? 0, fragments.at(-1)?.endUs ?? 0];
  const gaps = fragments.flatMap(({ gap, firstUs }, i) =>
    gap === undefined || i === 0 ? [] : [{ fromUs: fragments[i - 1]!.endUs, toUs: firstUs, reason: gap }],
  );
  const frames = fragments.reduce((sum, fragment) => sum + fragment.frames, 0);
  return {
    codec: head.codec,
    originUs: head.originUs,
    startUs,
    endUs,
    frames,
    lateUs: Math.max(0, startUs - (head.askedFromUs ?? startUs)),
    gaps,
  };
}

/** Reads a fragment as it stands in the file. */
export function readFragment(handle: FileHandle, { at, bytes }: IndexedFragment): Promise<Buffer> {
  return readAt(handle, at, bytes);
}

/** Returns what is wrong with a file: fragments that are not what was written, or that were taken out. Empty if nothing is. */
export async function faultsOf(path: string): Promise<string[]> {
  const { fragments, wholeBytes, fileBytes } = await readIndex(path);
  const faults: string[] = [];
  if (wholeBytes < fileBytes) faults.push(`${fileBytes - wholeBytes} bytes after the last whole fragment`);
  const { handle } = await openStored(path);
  try {
    let before = '';
    for (const [i, fragment] of fragments.entries()) {
      if (fragment.before !== before) faults.push(`fragment ${i} does not follow the one before`);
      const { at: _, ...record } = fragment;
      before = hashOf(record);
      const bytes = await readFragment(handle, fragment);
      if (originalHash(bytes, fragment.added) !== fragment.sha256)
        faults.push(`fragment ${i} is not what was written (at byte ${fragment.at})`);
    }
  } finally {
    await handle.close();
  }
  return faults;
}

/** The hash of a fragment as its packets were. @param bytes - overwritten. */
export function originalHash(bytes: Buffer, added: number): string | null {
  try {
    const { baseAt, baseTicks } = parseFragment(bytes);
    bytes.set(ticksOf(baseTicks - added), baseAt);
    return createHash('sha256').update(bytes).digest('hex');
  } catch {
    return null;
  }
}

/** Returns ticks as `tfdt` has them. */
export function ticksOf(ticks: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(ticks));
  return bytes;
}

/** A box of the index; players skip it. */
export function indexBox(value: object): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(BOX_HEAD_BYTES + text.length);
  head.write('uuid', 4, 'latin1');
  return Buffer.concat([head, INDEX_UUID, text]);
}

/** Returns the box of the index at a place; null if there is none, or only a part of one. */
export function indexAt<T>(bytes: Buffer, at: number, schema: z.ZodType<T>): { value: T; boxBytes: number } | null {
  if (bytes.length - at < BOX_HEAD_BYTES || bytes.toString('latin1', at + 4, at + 8) !== 'uuid') return null;
  const boxBytes = bytes.readUInt32BE(at);
  if (boxBytes > bytes.length - at || !bytes.subarray(at + 8, at + BOX_HEAD_BYTES).equals(INDEX_UUID)) return null;
  try {
    const value = schema.parse(JSON.parse(bytes.toString('utf8', at + BOX_HEAD_BYTES, at + boxBytes)));
    return { value, boxBytes };
  } catch {
    return null;
  }
}

function hashOf(record: FragmentRecord): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex');
}

function damaged(path: string, what: string): SightlineError {
  return new SightlineError('RECORDING_DAMAGED', `${path}: it is no recording of Sightline: ${what}`, { path });
}
