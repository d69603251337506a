/** One compressed frame as its container lists it. */
export interface Packet {
  /** Media time in microseconds, as a decoding run would give it; null where the container has none. */
  readonly ptsUs: number | null;
  readonly isKey: boolean;
  /** It is shown at another time than it is decoded, as the container has it. */
  readonly isReordered: boolean;
  /** Damaged, without a decoding time, or not to be shown: a decoding run may make something else of it. */
  readonly isOdd: boolean;
}

/** AV_PKT_FLAG_KEY and AV_PKT_FLAG_DISPOSABLE: the only flags of a packet without oddities. */
const KEY = 0x1;
const DISPOSABLE = 0x10;
/** ffmpeg's "no time" is the least 64-bit number. */
const NO_TIME = -(2 ** 62);
const TIME_BASE = /^#tb 0: (\d+)\/(\d+)/;
/** stream, dts, pts, duration, size, checksum; then the flags where they are not just "key". */
const ROW = /^(\d+), *(-?\d+), *(-?\d+), *-?\d+, *\d+, *0x[0-9a-f]+(?:, *F=0x([0-9A-F]+))?/;

interface Row {
  readonly dts: string;
  readonly pts: string;
  readonly ptsUs: number | null;
  /** Key frame by the container's word. */
  readonly isMarked: boolean;
  isConfirmed: boolean;
  readonly isOdd: boolean;
}

/**
 * Reads ffmpeg's `framecrc` text as it comes. Its rows have had this form since ffmpeg 1.0; seen alike in 4, 5.1 and 9.0.
 */
export class PacketRows {
  readonly #mustConfirm: boolean;
  readonly #onPacket: (packet: Packet) => void;
  #timeBase = 0;
  #rest = '';
  #waiting: Row | null = null;
  /** Decoding time of the newest row of stream 1: its packet of stream 0 is a key frame indeed. */
  #confirmedDts = '';

  /** @param mustConfirm - a key frame is one only where stream 1 has a packet of the same decoding time. */
  constructor(mustConfirm: boolean, onPacket: (packet: Packet) => void) {
    this.#mustConfirm = mustConfirm;
    this.#onPacket = onPacket;
  }

  /** Microseconds in one tick; 0 before it is known. */
  get tickUs(): number {
    return this.#timeBase * 1e6;
  }

  read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line);
  }

  /** To be called when no more text comes: the last packet is told now. */
  end(): void {
    this.#line(this.#rest);
    this.#tell();
  }

  #line(line: string): void {
    const row = ROW.exec(line);
    if (row !== null) return void this.#row(row);
    const base = TIME_BASE.exec(line);
    if (base !== null) this.#timeBase = Number(base[1]) / Number(base[2]);
  }

  #row([, stream, dts, pts, hexFlags]: RegExpExecArray): void {
    if (stream === '1') {
      this.#confirmedDts = dts!;
      if (this.#waiting?.dts === dts) this.#waiting!.isConfirmed = true;
      return;
    }
    this.#tell();
    const flags = hexFlags === undefined ? KEY : Number.parseInt(hexFlags, 16);
    const ticks = Number(pts);
    this.#waiting = {
      dts: dts!,
      pts: pts!,
      // The same arithmetic as for the frames of a decoding run, so that both come to the same microsecond.
      ptsUs: ticks < NO_TIME ? null : Math.round(ticks * this.#timeBase * 1e6),
      isMarked: (flags & KEY) !== 0,
      isConfirmed: !this.#mustConfirm || this.#confirmedDts === dts,
      isOdd: (flags & ~(KEY | DISPOSABLE)) !== 0 || Number(dts) < NO_TIME,
    };
  }

  #tell(): void {
    if (this.#waiting === null) return;
    const { dts, pts, ptsUs, isMarked, isConfirmed, isOdd } = this.#waiting;
    this.#waiting = null;
    this.#onPacket({ ptsUs, isKey: isMarked && isConfirmed, isReordered: dts !== pts, isOdd });
  }
}
