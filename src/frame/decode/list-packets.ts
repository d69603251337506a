import type { Ffmpeg } from '../../base/process/confinement.ts';
import { FfmpegLog } from './ffmpeg-log.ts';
import { listArguments, type MediaSpan } from './file-command.ts';
import { type Packet, PacketRows } from './packet-rows.ts';
import { runFfmpeg } from './run-ffmpeg.ts';

/** What ffmpeg prints about a file's first video stream before the first packet. */
export interface StreamHead {
  /** ffmpeg's name of the demuxer: `mov,mp4,m4a,3gp,3g2,mj2`. */
  readonly container: string;
  /** ffmpeg's name of the codec: `h264`. */
  readonly codec: string;
  /** True for a profile that never reorders pictures. */
  readonly isBaseline: boolean;
  /** Of the whole file; null if the container does not state it. */
  readonly durationUs: number | null;
}

export interface PacketListener {
  /** Called with the head as soon as it is known; returning false ends the listing. */
  isWanted(head: StreamHead): boolean;
  onPacket(packet: Packet): void;
}

export interface Listing {
  readonly head: StreamHead;
  /** Microseconds in one tick of the stream's time base; 0 if the listing ended before ffmpeg printed it. */
  readonly tickUs: number;
}

const CONTAINER = /^\[info\] Input #0, (\S+), from /;
const OUTPUT = /^\[info\] Output #0, /;
const VIDEO = /^\[info\] +Stream #0:0\b.*?: Video: (\w+)(?: \(([^)]*)\))?/;

/**
 * Lists the packets of a file's first video stream in decoding order. Reads the whole file and decodes nothing: about 3 us
 * of CPU per packet, and 70 ms to start.
 *
 * @param url - in ffmpeg's form: `file:` and the path.
 * @param unitTypes - only packets that hold a unit of these types count as key frames (`filter_units`); null to trust the
 *   container's key frame flags.
 * @param span - lists only this part, from the key frame where ffmpeg starts to read for it; absent: the whole file.
 * @returns null if ffmpeg did not print the head.
 * @throws SOURCE_*, DECODE_EXITED with the cause, FFMPEG_MISSING; the signal's reason if it aborts.
 */
export async function listPackets(
  ffmpeg: Ffmpeg,
  url: string,
  unitTypes: string | null,
  signal: AbortSignal,
  listener: PacketListener,
  span?: MediaSpan,
): Promise<Listing | null> {
  const rows = new PacketRows(unitTypes !== null, (packet) => listener.onPacket(packet));
  const stopEarly = new AbortController();
  const reader = new HeadReader(url);
  let head: StreamHead | null = null;
  try {
    await runFfmpeg(ffmpeg, url, listArguments(url, unitTypes, span), AbortSignal.any([signal, stopEarly.signal]), {
      onText: (text) => rows.read(text),
      onLogLine: (line) => {
        if (head !== null) return;
        head = reader.read(line);
        if (head !== null && !listener.isWanted(head)) stopEarly.abort();
      },
    });
    rows.end();
  } catch (error) {
    signal.throwIfAborted();
    if (!stopEarly.signal.aborted) throw error;
  }
  return head === null ? null : { head, tickUs: rows.tickUs };
}

/** Finds the head in ffmpeg's log: the container in the input's lines, the stream in the output's, which has only this one. */
class HeadReader {
  readonly #log: FfmpegLog;
  #container: string | null = null;
  #durationUs: number | null = null;
  #isOutput = false;

  constructor(url: string) {
    this.#log = new FfmpegLog(url, null);
  }

  /** @returns the head, once it is known. */
  read(line: string): StreamHead | null {
    this.#container ??= CONTAINER.exec(line)?.[1] ?? null;
    this.#isOutput ||= OUTPUT.test(line);
    const event = this.#log.read(line);
    if (event?.kind === 'duration') this.#durationUs = event.durationUs;
    const video = this.#isOutput ? VIDEO.exec(line) : null;
    if (video === null || this.#container === null) return null;
    const isBaseline = /Baseline$/.test(video[2] ?? '');
    return { container: this.#container, codec: video[1]!, isBaseline, durationUs: this.#durationUs };
  }
}
