import { MIB } from '../../base/disk/given-file.ts';
import type { PacketFragment, PacketsOpened } from '../../wire/protocol/packets.ts';
import type { KeptFragment } from './packet-ring.ts';

/** A segment begins with a key frame, and is at least so long. */
const SEGMENT_US = 2_000_000;
/** Media time that a playlist holds at least, and its most bytes. */
const KEPT_US = 10_000_000;
const MOST_BYTES = 128 * MIB;
/** The newest segments are listed in parts too. */
const IN_PARTS = 3;
/** Fragments are cut after a second and one frame more. */
const USUAL_PART_S = 1.1;

interface Segment {
  readonly number: number;
  readonly opened: PacketsOpened;
  /** It does not go on where the one before ended. */
  readonly isFresh: boolean;
  readonly parts: PacketFragment[];
}

/** An HLS playlist of what comes, with parts as low-latency HLS has them (RFC 8216bis): fragments are parts, groups of pictures segments. */
export class LivePlaylist {
  #segments: Segment[] = [];
  #begun = 0;
  /** Discontinuities of segments that are not kept any more. */
  #discontinuities = 0;
  #targetS = SEGMENT_US / 1e6;
  #partS = USUAL_PART_S;
  readonly #waiting = new Set<() => void>();

  push({ fragment, opened, gap }: KeptFragment): void {
    const last = this.#segments.at(-1);
    const isFresh = last !== undefined && (gap !== null || opened.connection !== last.opened.connection);
    if (last === undefined && !fragment.isKey) return;
    if (last === undefined || isFresh || (fragment.isKey && lengthUs(last.parts) >= SEGMENT_US)) {
      if (last !== undefined) this.#targetS = Math.max(this.#targetS, Math.round(lengthUs(last.parts) / 1e6));
      this.#segments.push({ number: this.#begun, opened, isFresh, parts: [] });
      this.#begun += 1;
    }
    this.#segments.at(-1)!.parts.push(fragment);
    this.#partS = Math.max(this.#partS, Math.ceil(lengthUs([fragment]) / 1e5) / 10);
    const all = (): PacketFragment[] => this.#segments.slice(1).flatMap(({ parts }) => parts);
    const bytes = (): number => all().reduce((sum, part) => sum + part.bytes.length, 0);
    while (this.#segments.length > IN_PARTS + 1 && (lengthUs(all()) > KEPT_US || bytes() > MOST_BYTES))
      if (this.#segments.shift()!.isFresh) this.#discontinuities += 1;
    for (const look of this.#waiting) look();
  }

  /** Number of the segment that is arriving; -1 before the first. */
  get newest(): number {
    return this.#begun - 1;
  }

  /**
   * Waits until a segment is complete, or has a part.
   *
   * @returns false if that takes longer than `ms`.
   */
  until(number: number, part: number | undefined, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const look = (isLate = false): void => {
        const isThere =
          number < this.newest ||
          (number === this.newest && part !== undefined && part < this.#segments.at(-1)!.parts.length);
        if (!isThere && !isLate) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(isThere);
      };
      const check = (): void => look();
      const timer = setTimeout(look, ms, true);
      this.#waiting.add(check);
      look();
    });
  }

  /** Returns a file by its name in the playlist; null if it is not kept any more. */
  file(name: string): Uint8Array | null {
    const [, connection] = /^init-(.+)\.mp4$/.exec(name) ?? [];
    if (connection !== undefined)
      return this.#segments.find(({ opened }) => opened.connection === connection)?.opened.init ?? null;
    const [, number, part] = /^(\d+)(?:\.(\d+))?\.m4s$/.exec(name) ?? [];
    const segment = this.#segments.find((each) => String(each.number) === number);
    if (segment === undefined || (part === undefined && segment.number === this.newest)) return null;
    if (part !== undefined) return segment.parts[Number(part)]?.bytes ?? null;
    return Buffer.concat(segment.parts.map(({ bytes }) => bytes));
  }

  /** @param folder - address of the files, relative to that of the playlist. */
  text(folder: string): string {
    const lines: string[] = [];
    let before: Segment | null = null;
    for (const [i, segment] of this.#segments.entries()) {
      const { number, opened, isFresh, parts } = segment;
      const { endMs, startUs, endUs } = parts[0]!;
      if (isFresh) lines.push('#EXT-X-DISCONTINUITY');
      if (before?.opened !== opened) lines.push(`#EXT-X-MAP:URI="${folder}/init-${opened.connection}.mp4"`);
      lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(endMs - (endUs - startUs) / 1000).toISOString()}`);
      if (i >= this.#segments.length - IN_PARTS)
        for (const [n, part] of parts.entries())
          lines.push(
            `#EXT-X-PART:DURATION=${seconds([part])},URI="${folder}/${number}.${n}.m4s"${part.isKey ? ',INDEPENDENT=YES' : ''}`,
          );
      if (number < this.newest) lines.push(`#EXTINF:${seconds(parts)},`, `${folder}/${number}.m4s`);
      before = segment;
    }
    const head = [
      ...['#EXTM3U', '#EXT-X-VERSION:9', `#EXT-X-TARGETDURATION:${this.#targetS}`],
      `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${(3 * this.#partS).toFixed(1)}`,
      `#EXT-X-PART-INF:PART-TARGET=${this.#partS}`,
      `#EXT-X-MEDIA-SEQUENCE:${this.#segments[0]?.number ?? 0}`,
      `#EXT-X-DISCONTINUITY-SEQUENCE:${this.#discontinuities}`,
    ];
    return `${[...head, ...lines].join('\n')}\n`;
  }
}

function lengthUs(parts: readonly PacketFragment[]): number {
  return parts.reduce((sum, { startUs, endUs }) => sum + endUs - startUs, 0);
}

function seconds(parts: readonly PacketFragment[]): string {
  return (lengthUs(parts) / 1e6).toFixed(6);
}
