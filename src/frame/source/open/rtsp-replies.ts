const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** Begins a packet of media between two messages: a channel and two bytes of length follow. */
const DOLLAR = 0x24;
const PACKET_HEADER_BYTES = 4;
/** Far above the lines that ffmpeg reads. */
const MAX_LINE_BYTES = 64 * 1024;
/** Far above the description of a stream. */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Splits what an RTSP server sends into lines, bodies and packets of media exactly as ffmpeg does: it ends lines at a line
 * feed, drops carriage returns wherever they are, and takes a packet where a line may begin. So a server cannot hide the
 * address of a redirect from this side.
 */
export class RtspReplies {
  readonly #onLocation: (url: string) => string;
  #line: number[] = [];
  /** Carriage returns at the beginning of the line. */
  #returns = 0;
  #bodyBytes = 0;
  /** Bytes that pass as they are: the rest of a body or of a packet. */
  #passing = 0;

  /** @param onLocation - returns what takes the place of the address of a redirect. */
  constructor(onLocation: (url: string) => string) {
    this.#onLocation = onLocation;
  }

  /**
   * @returns the same bytes, less an incomplete line at their end, with other addresses of redirects.
   * @throws RangeError for what no camera sends: a line or a body that is too long.
   */
  push(bytes: Buffer): Buffer {
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (this.#passing > 0) {
        const end = Math.min(bytes.length, at + this.#passing);
        out.push(bytes.subarray(at, end));
        this.#passing -= end - at;
        at = end;
        continue;
      }
      this.#line.push(bytes[at]!);
      at += 1;
      const done = this.#take();
      if (done !== null) out.push(done);
    }
    return Buffer.concat(out);
  }

  /** @returns the line or the header of a packet if it is complete, and clears it. */
  #take(): Buffer | null {
    const line = this.#line;
    while (line[this.#returns] === CARRIAGE_RETURN) this.#returns += 1;
    const isPacket = line[this.#returns] === DOLLAR;
    if (isPacket) {
      if (line.length < this.#returns + PACKET_HEADER_BYTES) return null;
      this.#passing = line[this.#returns + 2]! * 256 + line[this.#returns + 3]!;
    } else if (line.at(-1) !== LINE_FEED) {
      if (line.length > MAX_LINE_BYTES) throw new RangeError('a line of an RTSP message is too long');
      return null;
    }
    this.#line = [];
    this.#returns = 0;
    return isPacket ? Buffer.from(line) : this.#onLine(Buffer.from(line));
  }

  #onLine(line: Buffer): Buffer {
    const text = line.toString('latin1').replace(/[\r\n]/g, '');
    if (text === '') {
      this.#passing = this.#bodyBytes;
      this.#bodyBytes = 0;
      return line;
    }
    const length = /^content-length:\s*(.*)$/i.exec(text)?.[1];
    if (length !== undefined) {
      this.#bodyBytes = /^\d{1,9}$/.test(length.trim()) ? Number(length) : Number.NaN;
      if (!(this.#bodyBytes <= MAX_BODY_BYTES)) throw new RangeError('a body of an RTSP message is too long');
    }
    const location = /^location:\s*(.*)$/i.exec(text)?.[1];
    return location === undefined ? line : Buffer.from(`Location: ${this.#onLocation(location.trim())}\r\n`, 'latin1');
  }
}
