import type { RecordedSpan } from '../../wire/protocol/recordings-reply.ts';
import { isOfEvent, type RecordingFile } from './archive.ts';
import { type IndexedFragment, readIndex } from './fragment-file.ts';

/** Two files that are nearer have nothing missing between them. */
const JOIN_MS = 2_000;
/** Parts of a playlist are at least so long, in media time. */
const PART_US = 4_000_000;

/** Recordings that overlap a time, without clips, in order. */
export function recordingsIn(
  files: readonly RecordingFile[],
  {
    stream,
    fromMs = 0,
    toMs = Number.POSITIVE_INFINITY,
  }: { stream?: string | undefined; fromMs?: number | undefined; toMs?: number | undefined },
): RecordingFile[] {
  return files
    .filter((file) => file.kind !== 'clip' && (stream === undefined || file.stream === stream))
    .filter((file) => file.endMs > fromMs && file.startMs < toMs)
    .sort((a, b) => (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : a.startMs - b.startMs));
}

/** Joins recordings that follow each other. @param files - as `recordingsIn` returns them. */
export function spansOf(files: readonly RecordingFile[]): RecordedSpan[] {
  const spans: RecordedSpan[] = [];
  for (const file of files) {
    const { stream, startMs, endMs, bytes, gap } = file;
    const last = spans.at(-1);
    const ofEvents = isOfEvent(file);
    const follows = last?.stream === stream && last.ofEvents === ofEvents && gap === undefined;
    if (last !== undefined && follows && startMs - last.toMs < JOIN_MS)
      spans[spans.length - 1] = { ...last, toMs: endMs, bytes: last.bytes + bytes, files: last.files + 1 };
    else {
      // Whatever was there is gone.
      const isMissing = last?.stream === stream && startMs - last.toMs >= JOIN_MS;
      const why = gap ?? (isMissing ? 'missing' : null);
      spans.push({ stream, fromMs: startMs, toMs: endMs, bytes, files: 1, ofEvents, gap: why });
    }
  }
  return spans;
}

/**
 * Returns an HLS playlist over stored fragments.
 *
 * @param urlOf - of a file, by when it begins: one that is being written gets another name.
 * @throws RECORDING_DAMAGED if no file can be read.
 */
export async function playlistOf(files: readonly RecordingFile[], urlOf: (startMs: number) => string): Promise<string> {
  const lines: string[] = [];
  let longestS = 1;
  let damage: unknown = null;
  for (const { path, startMs } of files) {
    const index = await readIndex(path).catch((error: unknown) => {
      damage ??= error;
      return null;
    });
    // One file that is damaged, or deleted, does not hide the others. Without a fragment, its first second may be being written.
    if (index === null || index.fragments.length === 0) continue;
    const { init, fragments } = index;
    const url = urlOf(startMs);
    const beganMs = fragments[0]!.endMs - (fragments[0]!.endUs - fragments[0]!.startUs) / 1000;
    if (lines.length > 0) lines.push('#EXT-X-DISCONTINUITY');
    lines.push(`#EXT-X-MAP:URI="${url}",BYTERANGE="${init.length}@0"`);
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(beganMs).toISOString()}`);
    for (const part of partsOf(fragments)) {
      const [first, last] = [part[0]!, part.at(-1)!];
      // With B-frames, the last pictures of a fragment come with the next one.
      const seconds = part.reduce((sum, { startUs, endUs }) => sum + endUs - startUs, 0) / 1e6;
      longestS = Math.max(longestS, seconds);
      lines.push(
        `#EXTINF:${seconds.toFixed(6)},`,
        `#EXT-X-BYTERANGE:${last.at + last.bytes - first.at}@${first.at}`,
        url,
      );
    }
  }
  if (lines.length === 0 && damage !== null) throw damage;
  const head = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    `#EXT-X-TARGETDURATION:${Math.ceil(longestS)}`,
  ];
  return `${[...head, ...lines, '#EXT-X-ENDLIST'].join('\n')}\n`;
}

/** Divides fragments at key frames. */
function partsOf(fragments: readonly IndexedFragment[]): IndexedFragment[][] {
  const parts: IndexedFragment[][] = [];
  for (const fragment of fragments) {
    const last = parts.at(-1);
    const isLong = last !== undefined && fragment.firstUs - last[0]!.firstUs >= PART_US;
    if (last === undefined || (isLong && fragment.key)) parts.push([fragment]);
    else last.push(fragment);
  }
  return parts;
}
