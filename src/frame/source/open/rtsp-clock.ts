import { InterleavedReader } from './interleaved-reader.ts';

/** Clock rate of every video format over RTP. */
const TICKS_PER_SECOND = 90_000;
const TICKS_PER_MS = TICKS_PER_SECOND / 1000;
/** Seconds from 1900, where NTP begins to count, to 1970. */
const NTP_TO_UNIX_S = 2_208_988_800;
const SENDER_REPORT = 200;
const SENDER_REPORT_BYTES = 20;
const RTP_HEADER_BYTES = 12;
/** Most media of one camera. A hostile one could describe media without end. */
const MOST_MEDIA = 32;
/** Most frames that ffmpeg may still hold. */
const MOST_FRAMES = 512;
/** Half a tick and the rounding of times to microseconds. */
const TOLERANCE_US = 7;

interface SenderReport {
  /** Wall clock of the camera, in seconds since 1900. */
  readonly ntpS: number;
  readonly ticks: number;
}

/**
 * Finds when a camera captured a frame: reads the RTP time stamps and sender reports (RFC 3550, 6.4.1) of its video on the way to
 * ffmpeg, and computes media time from them as ffmpeg does. A frame with another media time has no known time of capture.
 *
 * RTP over TCP only, as it is interleaved with RTSP (RFC 2326, 10.12).
 */
export class RtspClock {
  readonly #reader = new InterleavedReader(
    (line) => this.#onLine(line),
    (channel, head) => this.#onPacket(channel, head),
  );
  readonly #media: string[] = [];
  #setUps = 0;
  /** Channel of the RTP packets of the video; the reports come on the next one. */
  #channel: number | null = null;
  #source: number | null = null;
  #stamp = 0;
  /** Since the first packet. */
  #ticks = 0;
  #firstReport: SenderReport | null = null;
  #report: SenderReport | null = null;
  /** Newest last. */
  readonly #frames: { readonly ptsUs: number; readonly ticks: number }[] = [];

  /** @param bytes - what the camera sends, in order, from the beginning of the connection. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /**
   * Returns the camera's wall clock at the capture of a frame, in milliseconds since 1970; null if it is not known.
   *
   * @param ptsUs - media time that ffmpeg gave it.
   */
  wallMs(ptsUs: number): number | null {
    const report = this.#report;
    const frame = this.#frames.findLast((each) => Math.abs(each.ptsUs - ptsUs) <= TOLERANCE_US);
    if (report === null || frame === undefined) return null;
    return (report.ntpS - NTP_TO_UNIX_S) * 1000 + (frame.ticks - report.ticks) / TICKS_PER_MS;
  }

  #onLine(line: string): void {
    const media = /^m=(\w+)/.exec(line)?.[1];
    if (media !== undefined && this.#media.length < MOST_MEDIA) this.#media.push(media);
    const channel = /^transport:.*\binterleaved=(\d{1,3})/i.exec(line)?.[1];
    if (channel === undefined) return;
    // ffmpeg sets up the media in the order of the description.
    if (this.#channel === null && this.#media[this.#setUps] === 'video') this.#channel = Number(channel);
    this.#setUps += 1;
  }

  #onPacket(channel: number, head: DataView): void {
    if (this.#channel === null || head.byteLength < RTP_HEADER_BYTES || head.getUint8(0) >> 6 !== 2) return;
    if (channel === this.#channel) this.#onMedia(head.getUint32(4), head.getUint32(8));
    else if (channel === this.#channel + 1 && head.byteLength >= SENDER_REPORT_BYTES) this.#onReport(head);
  }

  #onMedia(stamp: number, source: number): void {
    if (this.#source === null) {
      this.#source = source;
      this.#stamp = stamp;
    } else if (stamp === this.#stamp || source !== this.#source) return;
    this.#ticks = this.#unwrapped(stamp);
    this.#stamp = stamp;
    this.#frames.push({ ptsUs: (this.#mediaTicks() / TICKS_PER_SECOND) * 1e6, ticks: this.#ticks });
    if (this.#frames.length > MOST_FRAMES) this.#frames.shift();
  }

  /** Returns media time in ticks, as ffmpeg computes it: with several media it corrects the time stamps by the reports. */
  #mediaTicks(): number {
    const [first, report] = [this.#firstReport, this.#report];
    if (this.#setUps < 2 || first === null || report === null) return this.#ticks;
    return first.ticks + Math.round((report.ntpS - first.ntpS) * TICKS_PER_SECOND) + this.#ticks - report.ticks;
  }

  #onReport(head: DataView): void {
    if (head.getUint8(1) !== SENDER_REPORT || head.getUint32(4) !== this.#source) return;
    const ntpS = head.getUint32(8) + head.getUint32(12) / 2 ** 32;
    if (ntpS === 0) return;
    this.#report = { ntpS, ticks: this.#unwrapped(head.getUint32(16)) };
    this.#firstReport ??= this.#report;
  }

  /** Time stamps have 32 bits and begin anywhere. @returns ticks since the first packet. */
  #unwrapped(stamp: number): number {
    return this.#ticks + ((stamp - this.#stamp) | 0);
  }
}
