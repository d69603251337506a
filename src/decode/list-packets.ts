import { redact } from '../core/redact.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { listArguments } from './ffmpeg-command.ts';
import { type Packet, PacketRows } from './packet-rows.ts';
import { runFfmpeg } from './run-ffmpeg.ts';

/** What a container says of its first video stream. */
export interface StreamHeader {
  /** As ffmpeg names its demuxer: `mov,mp4,m4a,3gp,3g2,mj2`. */
  readonly container: string;
  /** As ffmpeg names it: `h264`. */
  readonly codec: string;
  /** Microseconds in one tick of the stream's time base. */
  readonly tickUs: number;
}

/**
 * Reads the head of a file: container, codec and time base of its first video stream.
 *
 * @param url - as ffmpeg takes it, `file:` and the path.
 * @throws SOURCE_* with the cause, FFMPEG_MISSING; the signal's reason where it aborts.
 */
export async function readStreamHeader(ffmpegPath: string, url: string, signal: AbortSignal): Promise<StreamHeader> {
  const rows = new PacketRows(false, () => undefined);
  let container: string | undefined;
  await runFfmpeg(ffmpegPath, url, listArguments(url, 1, null), signal, {
    onText: (text) => rows.read(text),
    onLogLine: (line) => {
      container ??= /^\[info\] Input #0, (\S+), from /.exec(line)?.[1];
    },
  });
  if (container === undefined || rows.codec === null)
    throw new SightlineError('SOURCE_UNREADABLE', `${redact(url)}: ffmpeg does not tell what it holds`);
  return { container, codec: rows.codec, tickUs: rows.tickUs };
}

/**
 * Lists the packets of a file's first video stream in the order of decoding. It reads the whole file and decodes nothing:
 * about 3 us of CPU a packet.
 *
 * @param unitTypes - only packets that hold a unit of these types count as key frames (`filter_units`); null where the
 *   container's word is enough.
 * @throws SOURCE_* with the cause, FFMPEG_MISSING; the signal's reason where it aborts.
 */
export async function listPackets(
  ffmpegPath: string,
  url: string,
  unitTypes: string | null,
  signal: AbortSignal,
  onPacket: (packet: Packet) => void,
): Promise<void> {
  const rows = new PacketRows(unitTypes !== null, onPacket);
  await runFfmpeg(ffmpegPath, url, listArguments(url, null, unitTypes), signal, {
    onText: (text) => rows.read(text),
    onLogLine: () => undefined,
  });
  rows.end();
}
