/** Begins a packet of media between two lines: a channel and two bytes of length follow. */
const DOLLAR = 0x24;
const LINE_FEED = 0x0a;
const PACKET_HEADER_BYTES = 4;
/** Bytes of a packet that are kept; enough for the headers of RTP and of a sender report. */
const MOST_HEAD_BYTES = 28;
/** Bytes of a line that are kept; the lines that matter are shorter. */
const MOST_LINE_BYTES = 1024;

/** Reads what an RTSP server sends: lines of text, bodies included, and packets of media between them. Never throws. */
export class InterleavedReader {
  readonly #onLine: (line: string) => void;
  readonly #onPacket: (channel: number, head: DataView) => void;
  readonly #buffer = new Uint8Array(MOST_LINE_BYTES);
  #length = 0;
  #isPacket = false;
  /** Bytes of the packet that are not read yet; null while its header is incomplete. */
  #left: number | null = null;

  /** @param onPacket - gets the first bytes of each packet, valid during the call. */
  constructor(onLine: (line: string) => void, onPacket: (channel: number, head: DataView) => void) {
    this.#onLine = onLine;
    this.#onPacket = onPacket;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#length === 0 && !this.#isPacket) this.#isPacket = bytes[at] === DOLLAR;
      at = this.#isPacket ? this.#readPacket(bytes, at) : this.#readLine(bytes, at);
    }
  }

  #readLine(bytes: Uint8Array, from: number): number {
    const feed = bytes.indexOf(LINE_FEED, from);
    const to = feed < 0 ? bytes.length : feed + 1;
    this.#keep(bytes.subarray(from, to), MOST_LINE_BYTES);
    if (feed < 0) return to;
    const line = Buffer.from(this.#buffer.buffer, 0, this.#length).toString('latin1').trim();
    this.#length = 0;
    this.#onLine(line);
    return to;
  }

  #readPacket(bytes: Uint8Array, from: number): number {
    if (this.#left === null) {
      const to = Math.min(bytes.length, from + PACKET_HEADER_BYTES - this.#length);
      this.#keep(bytes.subarray(from, to), PACKET_HEADER_BYTES);
      if (this.#length === PACKET_HEADER_BYTES) this.#left = this.#buffer[2]! * 256 + this.#buffer[3]!;
      if (this.#left === 0) this.#endPacket();
      return to;
    }
    const to = Math.min(bytes.length, from + this.#left);
    this.#keep(bytes.subarray(from, to), PACKET_HEADER_BYTES + MOST_HEAD_BYTES);
    this.#left -= to - from;
    if (this.#left === 0) this.#endPacket();
    return to;
  }

  #endPacket(): void {
    const head = new DataView(this.#buffer.buffer, PACKET_HEADER_BYTES, this.#length - PACKET_HEADER_BYTES);
    const channel = this.#buffer[1]!;
    this.#isPacket = false;
    this.#left = null;
    this.#length = 0;
    this.#onPacket(channel, head);
  }

  /** Keeps the beginning of a line or packet. */
  #keep(bytes: Uint8Array, most: number): void {
    const room = Math.min(bytes.length, most - this.#length);
    if (room <= 0) return;
    this.#buffer.set(bytes.subarray(0, room), this.#length);
    this.#length += room;
  }
}
