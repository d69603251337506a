import type { GapReason, PacketFragment, PacketsOpened, StreamPackets } from '../../wire/protocol/packets.ts';

/** A fragment, and what came before it. */
export interface KeptFragment {
  readonly fragment: PacketFragment;
  readonly opened: PacketsOpened;
  /** Why packets are missing just before it; null if none are. */
  readonly gap: GapReason | null;
}

/** The newest packets of one stream, in memory: whole pictures groups, at most so many bytes. */
export class PacketRing {
  readonly #maxBytes: number;
  #kept: KeptFragment[] = [];
  #bytes = 0;
  #opened: PacketsOpened | null = null;
  #gap: GapReason | null = null;
  /** Media time that is kept before the newest packet, at least. */
  neededUs = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Media time at which the newest packets end; null if there are none. */
  get endUs(): number | null {
    return this.#kept.at(-1)?.fragment.endUs ?? null;
  }

  /**
   * Media time before which no picture is missing: with B-frames, the last ones that are shown before the newest packet's come after it.
   * Null if there are no packets.
   */
  get completeUs(): number | null {
    const newest = this.#kept.at(-1);
    if (newest === undefined) return null;
    const { firstUs, firstTicks, baseTicks, startUs, endUs } = newest.fragment;
    const decodedUs = firstUs - ((firstTicks - baseTicks) / newest.opened.timescale) * 1e6;
    return Math.min(endUs, Math.round(decodedUs + endUs - startUs));
  }

  /** @returns what is to be kept; null if nothing can be decoded of it. */
  push(packets: StreamPackets): KeptFragment | null {
    if (packets.type === 'packets-opened') {
      const isFirst = this.#opened === null;
      this.#opened = packets;
      this.#gap = isFirst ? 'start' : packets.gap;
      return null;
    }
    const opened = this.#opened;
    if (opened === null || opened.connection !== packets.connection) return null;
    // A file that is opened again begins at an earlier key frame.
    const isKnown = this.#gap !== null && packets.startUs < (this.endUs ?? Number.NEGATIVE_INFINITY);
    if (this.#gap !== null && (isKnown || !packets.isKey)) return null;
    const kept = { fragment: packets, opened, gap: this.#gap };
    this.#gap = null;
    this.#kept.push(kept);
    this.#bytes += packets.bytes.length;
    this.#evict();
    return kept;
  }

  /** The packets from the last key frame at or before a media time on; from the first one if all are later. */
  since(fromUs: number): readonly KeptFragment[] {
    const at = this.#kept.findLastIndex(({ fragment }) => fragment.isKey && fragment.firstUs <= fromUs);
    return this.#kept.slice(Math.max(0, at));
  }

  #evict(): void {
    const keepFromUs = this.endUs! - this.neededUs;
    for (;;) {
      const next = this.#kept.findIndex(({ fragment }, i) => i > 0 && fragment.isKey);
      const isSpare = next > 0 && this.#kept[next]!.fragment.firstUs <= keepFromUs;
      if (!isSpare && this.#bytes <= this.#maxBytes) return;
      const gone = this.#kept.splice(0, next > 0 ? next : this.#kept.length);
      for (const { fragment } of gone) this.#bytes -= fragment.bytes.length;
      // The group that is arriving is too large: it goes on with the next key frame.
      if (next <= 0) {
        this.#gap = 'ring-full';
        return;
      }
    }
  }
}
