import { z } from 'zod';
import { isMissing } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { parseFragment } from '../../frame/decode/fragment-reader.ts';
import type { RecordingFile } from './archive.ts';
import {
  type FileIndex,
  type IndexedFragment,
  originalHash,
  readFragment,
  readIndex,
  ticksOf,
} from './fragment-file.ts';
import { openStored } from './stored-file.ts';

/** A shorter time without pictures is no gap. */
const LEAST_GAP_MS = 1_000;

/** A span of a stream, in wall-clock milliseconds since 1970. */
export interface ExportedSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

const count = z.number().int().nonnegative();

const placedFile = z.strictObject({
  path: z.string().min(1),
  /** Which of its fragments belong to the span: from this one on, so many. */
  skip: count,
  fragments: count,
  /** In them. */
  frames: count,
  /** Added to the ticks of the file for those of the span. */
  ticks: z.number().int(),
  /** Of its first picture, in microseconds: in the time of the span, and in that of the results of then. */
  fromUs: z.number().int(),
  firstUs: z.number(),
  /** When its last picture is over, as `firstUs`. */
  endUs: z.number(),
  /** Wall clock of its first picture, milliseconds since 1970, by the arrival of its packets. */
  startMs: z.number(),
  /** No picture after its beginning needs one from before. */
  isClean: z.boolean(),
});
/** A stored file, and where it stands in a span. */
export type PlacedFile = z.infer<typeof placedFile>;

/** A recorded time in one format of video, as jobs read it. Its media time rises over all files. */
export const recordedPart = z.strictObject({
  version: z.literal(1),
  stream: z.string().min(1),
  /** Ticks per second of its video. */
  timescale: z.number().positive(),
  files: z.array(placedFile).min(1).max(1_000_000),
});
export type RecordedPart = z.infer<typeof recordedPart>;

/** A time of which nothing was recorded, or nothing can be read; wall clock, milliseconds since 1970. */
export interface RecordedGap extends ExportedSpan {
  readonly reason: string;
}

export interface RecordedSpan extends ExportedSpan {
  /** More than one if the format of the video changes, or nothing was recorded for a day. */
  readonly parts: readonly RecordedPart[];
  readonly gaps: readonly RecordedGap[];
}

/** Media time goes on from file to file if wall clock and media time agree this well; otherwise a host was started between them. */
const SAME_CLOCK_MS = 2_000;
/** ffmpeg takes a larger jump of time, from 30 hours on, for a fault. */
const LONGEST_GAP_MS = 86_400_000;

/** What the next file follows. */
interface Newest {
  readonly index: FileIndex;
  readonly placed: PlacedFile;
  /** Wall clock at media time 0. */
  readonly clockMs: number;
}

/**
 * Puts the recordings of a span together as one video: from the key frame at or before its beginning. Each gap is a jump of its time.
 * A file that is damaged or gone is a gap.
 *
 * @param files - recordings of one stream that overlap the span, in order.
 * @throws RECORDING_NOT_FOUND if nothing of it can be read.
 */
export async function readSpan(files: readonly RecordingFile[], span: ExportedSpan): Promise<RecordedSpan> {
  const parts: (RecordedPart & { files: PlacedFile[] })[] = [];
  const gaps: RecordedGap[] = [];
  let last: Newest | null = null;
  let untilMs = span.fromMs;
  let lost: string | null = null;
  for (const file of files) {
    const index: FileIndex | string = await readIndex(file.path).catch(whyUnreadable);
    if (typeof index === 'string') lost = index;
    const chosen = typeof index === 'string' ? [] : within(index.fragments, span, parts.length === 0);
    const [first, end] = [chosen[0], chosen.at(-1)];
    if (typeof index === 'string' || first === undefined || end === undefined) continue;
    // Packets come late, never early.
    const clockMs = Math.min(...index.fragments.map(({ endMs, endUs }) => endMs - endUs / 1000));
    const startMs = clockMs + first.startUs / 1000;
    const isLate = startMs - untilMs > LEAST_GAP_MS;
    // Without a time between, nothing is missing around an event; another gap is one however short it is.
    if (isLate || (parts.length > 0 && file.gap !== undefined && file.gap !== 'event'))
      gaps.push({
        fromMs: untilMs,
        toMs: Math.max(startMs, untilMs),
        reason: lost ?? file.gap ?? (parts.length === 0 ? 'start' : 'missing'),
      });
    const { init, head } = index;
    if (last !== null && (!last.index.init.equals(init) || startMs - untilMs > LONGEST_GAP_MS)) last = null;
    if (last === null) parts.push({ version: 1, stream: file.stream, timescale: head.timescale, files: [] });
    const frames = chosen.reduce((sum, fragment) => sum + fragment.frames, 0);
    const placed: PlacedFile = {
      path: file.path,
      skip: index.fragments.indexOf(first),
      fragments: chosen.length,
      frames,
      ...place(index, { firstUs: first.firstUs, startMs, clockMs }, last ?? (await baseOf(file.path, first))),
      firstUs: first.firstUs,
      endUs: end.endUs,
      startMs,
      isClean: first.startUs >= first.firstUs,
    };
    parts.at(-1)!.files.push(placed);
    last = { index, placed, clockMs };
    untilMs = clockMs + end.endUs / 1000;
    const isCut = !file.isOpen && end === index.fragments.at(-1) && file.endMs - end.endMs > LEAST_GAP_MS;
    lost = isCut ? 'damaged' : null;
  }
  const { fromMs, toMs } = span;
  if (parts.length === 0) {
    const why = lost === null ? '' : `; what is stored is ${lost}`;
    throw new SightlineError('RECORDING_NOT_FOUND', `nothing is recorded from ${iso(fromMs)} to ${iso(toMs)}${why}`);
  }
  if (toMs - untilMs > LEAST_GAP_MS) gaps.push({ fromMs: untilMs, toMs, reason: lost ?? 'end' });
  return { fromMs, toMs, parts, gaps };
}

/** Decoding time of a fragment, in ticks of its file. */
async function baseOf(path: string, fragment: IndexedFragment): Promise<number> {
  const { handle } = await openStored(path);
  return readFragment(handle, fragment)
    .then((bytes) => parseFragment(bytes).baseTicks)
    .catch(() => 0)
    .finally(() => handle.close());
}

/** Returns where a file stands in the time of its span. @param last - what it follows; if nothing, the ticks at which its video begins. */
function place(
  { head }: FileIndex,
  { firstUs, startMs, clockMs }: { readonly firstUs: number; readonly startMs: number; readonly clockMs: number },
  last: Newest | number,
): Pick<PlacedFile, 'ticks' | 'fromUs'> {
  const ticksIn = (us: number): number => Math.round((us / 1e6) * head.timescale);
  const firstTicks = ticksIn(firstUs - head.originUs);
  const ticks = ((): number => {
    if (typeof last === 'number') return -last;
    const { placed, index } = last;
    const goesOn = firstUs >= placed.endUs - 1e6 && Math.abs(clockMs - last.clockMs) < SAME_CLOCK_MS;
    if (goesOn) return placed.ticks + ticksIn(head.originUs - index.head.originUs);
    const lengthUs = placed.endUs - placed.firstUs;
    return ticksIn(placed.fromUs + Math.max(lengthUs, (startMs - placed.startMs) * 1000)) - firstTicks;
  })();
  return { ticks, fromUs: Math.round(((firstTicks + ticks) / head.timescale) * 1e6) };
}

/** Divides files where decoding begins cleanly. @param leastUs - length of each group but the last. */
export function groupsOf(files: readonly PlacedFile[], leastUs: number): PlacedFile[][] {
  const groups: PlacedFile[][] = [];
  for (const file of files) {
    const group = groups.at(-1);
    if (group !== undefined && (!file.isClean || file.fromUs - group[0]!.fromUs < leastUs)) group.push(file);
    else groups.push([file]);
  }
  return groups;
}

/**
 * Returns the time in the span of the pictures of a video that `videoOf` makes, whose times ffmpeg counts from the first one. It is the same whichever file
 * the video begins with.
 */
export function spanTime({ timescale }: Pick<RecordedPart, 'timescale'>, first: PlacedFile): (ptsUs: number) => number {
  const ticksIn = (us: number): number => Math.round((us / 1e6) * timescale);
  const firstTicks = ticksIn(first.fromUs);
  return (ptsUs) => Math.round(((firstTicks + ticksIn(ptsUs)) / timescale) * 1e6);
}

/**
 * Returns the wall clock of times of a span, in milliseconds since 1970.
 *
 * @returns for times that rise.
 */
export function wallClock(files: readonly PlacedFile[]): (ptsUs: number) => number {
  let at = 0;
  return (ptsUs) => {
    while (at + 1 < files.length && files[at + 1]!.fromUs <= ptsUs) at += 1;
    const { startMs, fromUs } = files[at]!;
    return Math.round(startMs + (ptsUs - fromUs) / 1000);
  };
}

/**
 * Makes one MP4 of files that follow each other in a span. Each fragment is compared with its hash: those that are damaged, or need one that is, are
 * left out.
 *
 * @param onLost - gets what is left out, and how many frames.
 */
export async function* videoOf(
  files: readonly PlacedFile[],
  onLost: (gap: RecordedGap, frames: number) => void,
): AsyncGenerator<Buffer> {
  let isBegun = false;
  for (const file of files) {
    const wallMs = (us: number): number => file.startMs + (us - file.firstUs) / 1000;
    const index = await readIndex(file.path).catch(whyUnreadable);
    if (typeof index === 'string') {
      onLost({ fromMs: file.startMs, toMs: wallMs(file.endUs), reason: index }, file.frames);
      continue;
    }
    const { handle } = await openStored(file.path);
    try {
      if (!isBegun) yield index.init;
      isBegun = true;
      let isWhole = true;
      const there = index.fragments.slice(file.skip, file.skip + file.fragments);
      if (there.length < file.fragments) {
        const gone = file.frames - there.reduce((sum, { frames }) => sum + frames, 0);
        onLost({ fromMs: there.at(-1)?.endMs ?? file.startMs, toMs: wallMs(file.endUs), reason: 'damaged' }, gone);
      }
      for (const fragment of there) {
        const bytes = await readFragment(handle, fragment);
        isWhole = (isWhole || fragment.key) && originalHash(bytes, fragment.added) === fragment.sha256;
        if (isWhole) {
          const { baseAt, baseTicks } = parseFragment(bytes);
          bytes.set(ticksOf(baseTicks + fragment.added + file.ticks), baseAt);
          yield bytes;
        } else onLost({ fromMs: startOf(fragment), toMs: fragment.endMs, reason: 'damaged' }, fragment.frames);
      }
    } finally {
      await handle.close();
    }
  }
}

/** From the key frame at or before the beginning, unless something came before. */
function within(
  fragments: readonly IndexedFragment[],
  { fromMs, toMs }: ExportedSpan,
  isFirst: boolean,
): readonly IndexedFragment[] {
  const key = isFirst ? fragments.findLastIndex((each) => each.key && startOf(each) <= fromMs) : 0;
  return fragments.slice(Math.max(0, key)).filter((each) => startOf(each) < toMs);
}

/** Wall clock of its first picture. */
function startOf({ endMs, endUs, startUs }: IndexedFragment): number {
  return endMs - (endUs - startUs) / 1000;
}

/** Puts gaps in order, and joins those of one reason that follow each other. */
export function inOrder(gaps: readonly RecordedGap[]): RecordedGap[] {
  const list: RecordedGap[] = [];
  for (const gap of gaps.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = list.at(-1);
    const follows = last?.reason === gap.reason && gap.fromMs - last.toMs < LEAST_GAP_MS;
    if (follows) list[list.length - 1] = { ...last, toMs: Math.max(last.toMs, gap.toMs) };
    else list.push(gap);
  }
  return list;
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function whyUnreadable(error: unknown): 'damaged' | 'missing' {
  if (isMissing(error)) return 'missing';
  if (error instanceof SightlineError && error.code === 'RECORDING_DAMAGED') return 'damaged';
  throw error;
}
