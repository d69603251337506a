/** One compressed frame, as listed by its container. */
export interface Packet {
  /** Media time in microseconds, equal to that of a decoding run; null if the container has none. */
  readonly ptsUs: number | null;
  readonly isKey: boolean;
  /** True if the container gives it a presentation time other than its decoding time. */
  readonly isReordered: boolean;
  /** Damaged, without a decoding time, or not for display: a decoding run may treat it differently. */
  readonly isOdd: boolean;
}

/** AV_PKT_FLAG_KEY and AV_PKT_FLAG_DISPOSABLE: any other flag makes a packet odd. */
const KEY = 0x1;
const DISPOSABLE = 0x10;
/** ffmpeg's "no timestamp" is the smallest 64-bit number; everything below this counts as it. */
const NO_TIME = -(2 ** 62);
const TIME_BASE = /^#tb 0: (\d+)\/(\d+)/;
/** stream, dts, pts, duration, size, checksum; then the flags unless they are just "key". */
const ROW = /^(\d+), *(-?\d+), *(-?\d+), *-?\d+, *\d+, *0x[0-9a-f]+(?:, *F=0x([0-9A-F]+))?/;

interface Row {
  readonly dts: string;
  readonly pts: string;
  readonly ptsUs: number | null;
  /** The container flags it as a key frame. */
  readonly isMarked: boolean;
  isConfirmed: boolean;
  readonly isOdd: boolean;
}

/**
 * Parses ffmpeg's `framecrc` output incrementally. The format has not changed since ffmpeg 1.0; checked in 4, 5.1 and 9.0.
 */
export class PacketRows {
  readonly #mustConfirm: boolean;
  readonly #onPacket: (packet: Packet) => void;
  #timeBase = 0;
  #rest = '';
  #pending: Row | null = null;
  /** Decoding time of the newest row of stream 1, which confirms that the packet of stream 0 is a key frame. */
  #confirmedDts = '';

  /** @param mustConfirm - a packet counts as a key frame only if stream 1 has one with the same decoding time. */
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

  /** Call it after the last text; reports the last packet. */
  end(): void {
    this.#line(this.#rest);
    this.#emit();
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
      if (this.#pending?.dts === dts) this.#pending!.isConfirmed = true;
      return;
    }
    this.#emit();
    const flags = hexFlags === undefined ? KEY : Number.parseInt(hexFlags, 16);
    const ticks = Number(pts);
    this.#pending = {
      dts: dts!,
      pts: pts!,
      // The same arithmetic as in `FfmpegLog`, so that both give the same microsecond.
      ptsUs: ticks < NO_TIME ? null : Math.round(ticks * this.#timeBase * 1e6),
      isMarked: (flags & KEY) !== 0,
      isConfirmed: !this.#mustConfirm || this.#confirmedDts === dts,
      isOdd: (flags & ~(KEY | DISPOSABLE)) !== 0 || Number(dts) < NO_TIME,
    };
  }

  #emit(): void {
    if (this.#pending === null) return;
    const { dts, pts, ptsUs, isMarked, isConfirmed, isOdd } = this.#pending;
    this.#pending = null;
    this.#onPacket({ ptsUs, isKey: isMarked && isConfirmed, isReordered: dts !== pts, isOdd });
  }
}
