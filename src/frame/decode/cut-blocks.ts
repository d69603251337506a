import { join } from 'node:path';
import type { SourceInput } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { CleanCuts } from './clean-cuts.ts';
import type { FfmpegBinary } from './ffmpeg-binary.ts';
import type { FrameHeader } from './ffmpeg-log.ts';
import {
  type BlockContainer,
  copyArguments,
  type MediaSpan,
  reencodeArguments,
  splitArguments,
} from './file-command.ts';
import { KEY_UNITS } from './key-units.ts';
import { listFrames } from './list-frames.ts';
import { listPackets, type StreamHead } from './list-packets.ts';
import type { Packet } from './packet-rows.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { accessOf } from './sandbox-access.ts';
import { findVideoEncoder } from './video-encoders.ts';

/** A part of a recording as a file of its own, whose times begin at 0. */
export interface ClipBlock {
  readonly path: string;
  /** Media time in the recording of its first frame. */
  readonly startUs: number;
  readonly durationUs: number;
  readonly frames: number;
}

export interface CutBlocks {
  /** In the order of their times; they do not overlap. */
  readonly blocks: readonly ClipBlock[];
  /** False if they had to be encoded again: then decoding them does not take the same time as decoding the recording. */
  readonly isCopied: boolean;
  /** True if they cover the recording without gaps. */
  readonly isWhole: boolean;
}

const BLOCK_US = 10e6;
const MOST_BLOCKS = 12;
/** Enough that a quarter can be held out and most of the recording remains. */
const FEWEST_BLOCKS = 4;
/** Copied blocks begin at key frames. Where these are far apart, a block may be this many times as long as planned. */
const MOST_UNEVENNESS = 2;
/** A recording up to this length is one block. */
const UNDIVIDED_US = 4e6;
/** Assumed for a recording of a single frame. */
const LONE_FRAME_US = 40_000;
const EXTENSION: Readonly<Record<BlockContainer, string>> = { mov: 'mov', matroska: 'mkv' };

/** A block as its packets show it. */
interface Found extends Omit<ClipBlock, 'path'> {
  /** Where ffmpeg is asked to read from; it starts at the key frame `startUs`. */
  readonly seekUs: number;
  /** Every picture decodes as it does in the whole recording. */
  readonly isClean: boolean;
}

/**
 * Cuts a recording into blocks of about 10 s: a recording of up to 120 s whole, a longer one into twelve that are spread evenly
 * over it. Copies the compressed frames where the blocks can begin at key frames that end all references, which takes about
 * 0.1 s a block however long the recording is. Where they cannot, it encodes them again, nearly without loss (docs/adr/0032).
 *
 * @param durationUs - as the container states it; null if unknown, then the whole file is listed first.
 * @param folder - for the files; the caller deletes it.
 * @param note - receives sentences about steps that take long.
 * @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING; the signal's reason if it aborts.
 */
export async function cutBlocks(
  ffmpeg: FfmpegBinary,
  source: SourceInput,
  durationUs: number | null,
  folder: string,
  signal: AbortSignal,
  note: (text: string) => void,
): Promise<CutBlocks> {
  const head = await headOf(ffmpeg, source, signal);
  const cutter = new Cutter({ ffmpeg, source, head, folder, signal, note });
  if (durationUs === null || durationUs <= MOST_BLOCKS * BLOCK_US) return cutter.cutListed();
  return cutter.cutLong(durationUs);
}

/** @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING */
async function headOf(ffmpeg: FfmpegBinary, { url, label }: SourceInput, signal: AbortSignal): Promise<StreamHead> {
  const listener = { isWanted: () => false, onPacket: () => undefined };
  const listing = await listPackets(ffmpeg, url, null, signal, listener);
  if (listing === null) throw new SightlineError('SOURCE_NO_VIDEO', `${label}: it holds no video stream`);
  return listing.head;
}

class Cutter {
  readonly #ffmpeg: FfmpegBinary;
  readonly #source: SourceInput;
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #note: (text: string) => void;
  /** Undefined if nothing is known about key frames of this codec. */
  readonly #keyUnits: string | null | undefined;
  /** MP4 and MOV stay so, because Matroska does not keep how a picture is rotated. */
  readonly #container: BlockContainer;

  constructor({
    ffmpeg,
    source,
    head,
    folder,
    signal,
    note,
  }: {
    readonly ffmpeg: FfmpegBinary;
    readonly source: SourceInput;
    readonly head: StreamHead;
    readonly folder: string;
    readonly signal: AbortSignal;
    readonly note: (text: string) => void;
  }) {
    const { codec, container } = head;
    this.#ffmpeg = ffmpeg;
    this.#source = source;
    this.#folder = folder;
    this.#signal = signal;
    this.#note = note;
    this.#keyUnits = KEY_UNITS.get(codec);
    this.#container = container.startsWith('mov') ? 'mov' : 'matroska';
  }

  /** Lists all packets of a recording, then cuts it: one that is short, or whose container does not state its length. */
  async cutListed(): Promise<CutBlocks> {
    const packets = await this.#list();
    if (packets.length === 0)
      throw new SightlineError('SOURCE_NO_VIDEO', `${this.#source.label}: it holds no video frame`);
    const lengthUs = lengthOf(hasTimes(packets) ? packets : await this.#decoded());
    if (lengthUs > MOST_BLOCKS * BLOCK_US) return this.cutLong(lengthUs, true);
    if (lengthUs <= UNDIVIDED_US || packets.length < 2) {
      const whole = { path: this.#source.label, startUs: 0, durationUs: lengthUs, frames: packets.length };
      return { blocks: [whole], isCopied: true, isWhole: true };
    }
    const count = Math.max(FEWEST_BLOCKS, Math.round(lengthUs / BLOCK_US));
    const blocks = await this.#unlessRefused(() => this.#split(packets, lengthUs, count));
    const isEven =
      blocks !== null &&
      blocks.length >= FEWEST_BLOCKS &&
      blocks.every(({ durationUs }) => durationUs <= (MOST_UNEVENNESS * lengthUs) / count);
    if (isEven) return { blocks, isCopied: true, isWhole: true };
    const spans = Array.from({ length: count }, (_, i) => spanBetween(i, count, lengthUs));
    return { blocks: await this.#encodeInOnePass(spans), isCopied: false, isWhole: true };
  }

  /** @param isListed - the length comes from the packets, not from the container. */
  async cutLong(lengthUs: number, isListed = false): Promise<CutBlocks> {
    const spans = Array.from({ length: MOST_BLOCKS }, (_, i) => ({
      fromUs: Math.round(((i + 0.5) * lengthUs) / MOST_BLOCKS - BLOCK_US / 2),
      durationUs: BLOCK_US,
    }));
    const found = await this.#unlessRefused(() => this.#find(spans));
    // The container may state the length of a longer sound track, or a wrong one.
    if (found === 'beyond the end') return isListed ? this.#encoded(spans) : this.cutListed();
    if (found === null || found === 'few key frames') return this.#encoded(spans);
    if (found.some(({ isClean }) => !isClean)) return this.#encoded(spans, true);
    const blocks = await this.#unlessRefused(() => this.#copy(found));
    return blocks === null ? this.#encoded(spans) : { blocks, isCopied: true, isWhole: false };
  }

  async #encoded(spans: readonly MediaSpan[], seeks = false): Promise<CutBlocks> {
    const blocks = seeks ? await this.#encodeEach(spans) : await this.#encodeInOnePass(spans);
    return { blocks, isCopied: false, isWhole: false };
  }

  /** Returns null if `run` fails because of how the file is made. @throws FFMPEG_MISSING; the signal's reason */
  async #unlessRefused<T>(run: () => Promise<T>): Promise<T | null> {
    try {
      return await run();
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof SightlineError && error.code !== 'FFMPEG_MISSING') return null;
      throw error;
    }
  }

  async #list(span?: MediaSpan): Promise<Packet[]> {
    const packets: Packet[] = [];
    const units = this.#keyUnits ?? null;
    const listener = { isWanted: () => true, onPacket: (packet: Packet) => void packets.push(packet) };
    await listPackets(this.#ffmpeg, this.#source.url, units, this.#signal, listener, span);
    return packets;
  }

  /** Decodes a recording without times, such as a raw stream, to find them. */
  async #decoded(): Promise<FrameHeader[]> {
    this.#note(`${this.#source.label}: it states no times, so it is decoded once to find its length`);
    const frames: FrameHeader[] = [];
    await listFrames(this.#ffmpeg, this.#source, this.#signal, (frame) => void frames.push(frame));
    return frames;
  }

  /** Splits the whole recording at clean key frames; null if it has too few of them. */
  async #split(packets: readonly Packet[], lengthUs: number, count: number): Promise<ClipBlock[] | null> {
    if (this.#keyUnits === undefined) return null;
    const finder = new CleanCuts(lengthUs / count);
    for (const packet of packets) finder.add(packet);
    const cuts = finder.choose(false)?.cuts ?? [];
    if (cuts.length === 0 || cuts.length + 1 < count / 2) return null;
    const atUs = cuts.map((cut) => cut.atUs);
    const files = await this.#segments('block-', EXTENSION[this.#container], (pattern) =>
      splitArguments(this.#source.url, atUs, this.#container, pattern),
    );
    if (files.length !== cuts.length + 1) return null;
    const startUs = earliest(packets);
    const starts = [{ atUs: startUs, frame: 0 }, ...cuts];
    return starts.map((start, i) => {
      const next = cuts[i] ?? { atUs: startUs + lengthUs, frame: packets.length };
      const [durationUs, frames] = [next.atUs - start.atUs, next.frame - start.frame];
      return { path: files[i]!.path, startUs: start.atUs, durationUs, frames };
    });
  }

  /** Looks at the packets of each block. */
  async #find(spans: readonly MediaSpan[]): Promise<Found[] | 'few key frames' | 'beyond the end'> {
    const found: Found[] = [];
    for (const { fromUs } of spans) {
      // A block may begin late by as much as its own length: in some containers ffmpeg starts after the time that it is asked for.
      const next = await this.#findAt(fromUs, 2 * BLOCK_US);
      if (next === null) return 'beyond the end';
      const previous = found.at(-1);
      if (previous !== undefined && next.startUs < previous.startUs + previous.durationUs) return 'few key frames';
      found.push(next);
    }
    return found;
  }

  async #findAt(seekUs: number, aheadUs: number): Promise<Found | null> {
    const packets = await this.#list({ fromUs: seekUs, durationUs: aheadUs });
    const first = packets[0];
    if (first === undefined) return null;
    const startUs = first.ptsUs;
    if (startUs === null || !hasTimes(packets))
      throw new SightlineError('DECODE_EXITED', `${this.#source.label}: packets without times`);
    const times = packets.map(({ ptsUs }) => ptsUs!);
    const length = completePrefix(times, startUs + BLOCK_US);
    const rest = times.slice(length);
    const endUs = rest.length === 0 ? startUs + lengthOf(packets) : Math.min(...rest);
    // Asked to start after the last packet, ffmpeg starts at the last key frame.
    if (rest.length === 0 && endUs < seekUs) return null;
    const isClean = this.#keyUnits !== undefined && first.isKey && times.slice(0, length).every((us) => us >= startUs);
    return { seekUs, startUs, durationUs: endUs - startUs, frames: length, isClean };
  }

  async #copy(found: readonly Found[]): Promise<ClipBlock[]> {
    const blocks: ClipBlock[] = [];
    for (const { seekUs, startUs, durationUs, frames } of found) {
      const path = join(this.#folder, `block-${String(blocks.length).padStart(4, '0')}.${EXTENSION[this.#container]}`);
      const at = { fromUs: seekUs, packets: frames };
      await this.#ffmpegRuns(copyArguments(this.#source.url, at, this.#container, path));
      blocks.push({ path, startUs, durationUs, frames });
    }
    return blocks;
  }

  /** Decodes each block from the key frame before it. */
  async #encodeEach(spans: readonly MediaSpan[]): Promise<ClipBlock[]> {
    const blocks: ClipBlock[] = [];
    for (const [i, span] of spans.entries()) blocks.push(...(await this.#encode([span], true, `block-${i}-`)));
    return blocks;
  }

  async #encodeInOnePass(spans: readonly MediaSpan[]): Promise<ClipBlock[]> {
    this.#note(`${this.#source.label}: it has too few key frames to be cut, so it is decoded once up to its last part`);
    return this.#encode(spans, false, 'block-');
  }

  async #encode(spans: readonly MediaSpan[], seeks: boolean, name: string): Promise<ClipBlock[]> {
    const ffmpegMajor = this.#ffmpeg.major;
    const encoder = await findVideoEncoder(this.#ffmpeg);
    const files = await this.#segments(name, 'mkv', (pattern) =>
      reencodeArguments(this.#source.url, spans, seeks, { ffmpegMajor, encoder }, pattern),
    );
    const blocks: ClipBlock[] = [];
    for (const [i, { path, startUs: listedUs }] of files.entries()) {
      // The list states 0 for the first file, whatever it begins with.
      const startUs = i === 0 ? spans[0]!.fromUs : listedUs;
      const span = spans.findLast(({ fromUs }) => fromUs <= startUs + ROUNDING_US);
      const packets = { count: 0 };
      const listener = { isWanted: () => true, onPacket: () => void packets.count++ };
      await listPackets(this.#ffmpeg, `file:${path}`, null, this.#signal, listener);
      if (span === undefined || packets.count === 0) continue;
      blocks.push({ path, startUs, durationUs: span.fromUs + span.durationUs - startUs, frames: packets.count });
    }
    return blocks;
  }

  /** Runs an ffmpeg that writes several files, and returns them with the times in the recording at which they begin. */
  async #segments(
    name: string,
    extension: string,
    args: (pattern: string) => string[],
  ): Promise<{ path: string; startUs: number }[]> {
    const list = await this.#ffmpegRuns(args(join(this.#folder, `${name}%04d.${extension}`)));
    return list
      .split('\n')
      .map((line) => line.split(','))
      .filter((row) => row.length === 3)
      .map(([file, start]) => ({ path: join(this.#folder, file!), startUs: Math.round(Number(start) * 1e6) }));
  }

  /** @returns what it writes to standard output. */
  async #ffmpegRuns(args: readonly string[]): Promise<string> {
    const chunks: string[] = [];
    const listener = { onText: (text: string) => void chunks.push(text), onLogLine: () => undefined };
    const access = { ...accessOf(this.#source), writes: this.#folder };
    await runFfmpeg(this.#ffmpeg, this.#source.url, args, this.#signal, listener, access);
    return chunks.join('');
  }
}

/** Rounding of times in lists of segments and in containers. */
const ROUNDING_US = 1000;

/**
 * Returns the length of the longest run of packets, from the first, that is complete in presentation order and ends before a
 * time: a block that ends in the middle of reordered pictures would lack some of them.
 *
 * @param timesUs - presentation times in decoding order.
 * @returns at least 1.
 */
function completePrefix(timesUs: readonly number[], endUs: number): number {
  const earliestAfter = [...timesUs, Number.POSITIVE_INFINITY];
  for (let i = timesUs.length - 1; i >= 0; i--) earliestAfter[i] = Math.min(earliestAfter[i]!, earliestAfter[i + 1]!);
  let best = 1;
  let latest = Number.NEGATIVE_INFINITY;
  for (const [i, us] of timesUs.entries()) {
    latest = Math.max(latest, us);
    if (latest < endUs && latest < earliestAfter[i + 1]!) best = i + 1;
  }
  return best;
}

function hasTimes(packets: readonly Packet[]): boolean {
  return packets.every(({ ptsUs }) => ptsUs !== null);
}

/** From the first frame to the end of the last. */
function lengthOf(frames: readonly { readonly ptsUs: number | null }[]): number {
  const timesUs = frames.map(({ ptsUs }) => ptsUs ?? 0).sort((a, b) => a - b);
  if (timesUs.length < 2) return LONE_FRAME_US;
  const spanUs = timesUs.at(-1)! - timesUs[0]!;
  return Math.round(spanUs + spanUs / (timesUs.length - 1));
}

function earliest(packets: readonly Packet[]): number {
  return packets.reduce((least, { ptsUs }) => Math.min(least, ptsUs ?? least), Number.POSITIVE_INFINITY);
}

/** The i-th of equal spans. */
function spanBetween(i: number, count: number, lengthUs: number): MediaSpan {
  const at = (k: number): number => Math.round((k * lengthUs) / count);
  return { fromUs: at(i), durationUs: at(i + 1) - at(i) };
}
