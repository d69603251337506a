import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import { listPackets } from '../../../frame/decode/list-packets.ts';
import { sourcePath } from '../../../frame/source/parse-source.ts';
import { DECODED_FRAMES, type StreamConfig } from '../../../settings/config/stream.ts';
import { percentileTargets, type Target } from '../../measure/targets.ts';
import type { LeverOptions } from '../levers/levers.ts';
import type { MachineShape } from '../search/cost-model.ts';
import type { Subject } from './subject.ts';

/** Which frames of a recording may be decoded, and how many that leaves. */
export interface Decodable {
  readonly decodes: LeverOptions['decodes'];
  readonly decodedRatio: MachineShape['decodedRatio'];
  /** Frames per second that a camera with this recording would offer, after `every` and `maxFps`; null if its packets have no times. */
  readonly offeredFps: number | null;
  /** Why no fewer frames are tried; null if they are. */
  readonly whyNotFewer: string | null;
}

/** Packets of a recording. */
interface Packets {
  /** Null without times. */
  readonly fps: number | null;
  readonly keyRatio: number;
  readonly isReordered: boolean;
}

/** Of a video with reordered frames, about this share of them is a reference of others; of another one all are. Corrected by what is measured. */
const REFERENCE_RATIO = 0.5;

/** Looks at the packets of a recording, and at who asks for every frame. @throws as `listPackets` */
export async function decodableOf(
  { clip, pipeline, isCopied }: Pick<Subject, 'clip' | 'pipeline' | 'isCopied'>,
  own: StreamConfig['decode'],
  targets: readonly Target[],
  ffmpeg: FfmpegBinary,
  signal: AbortSignal,
): Promise<Decodable> {
  const packets = await packetsOf(ffmpeg, `file:${sourcePath(clip)}`, signal);
  const { every, maxFps = Number.POSITIVE_INFINITY } = pipeline.streams[0]!;
  // Without times nothing limits the rate but the share.
  const recordedFps = packets.fps ?? 1;
  const published = (share: number): number => Math.min(maxFps, (recordedFps * share) / every);
  const shares = { all: 1, reference: packets.isReordered ? REFERENCE_RATIO : 1, key: packets.keyRatio };
  const ratio = (decode: StreamConfig['decode']): number => published(shares[decode]) / published(shares[own]);
  const fpsTarget = targets.find(({ metric }) => metric === 'fps' || metric === 'total')?.text;
  const expected = pipeline.streams.find(({ target }) => target.fps !== undefined);
  const obstacles: readonly (readonly [isThere: boolean, text: string])[] = [
    [own === 'key', 'the pipeline decodes key frames only'],
    [packets.keyRatio === 1, 'all frames of the recording are key frames'],
    [!isCopied, 'the recording was encoded again to be cut, so its key frames are not those of the camera'],
    [fpsTarget !== undefined, `the target ${fpsTarget} asks for every frame`],
    [expected !== undefined, `stream "${expected?.id}" has a target of ${expected?.target.fps} frames/s`],
  ];
  const whyNotFewer = obstacles.find(([isThere]) => isThere)?.[1] ?? null;
  // Key frames are too few for a percentile.
  const fewest = percentileTargets(targets).length > 0 ? 'reference' : 'key';
  const from = DECODED_FRAMES.indexOf(own);
  const to = whyNotFewer === null ? DECODED_FRAMES.indexOf(fewest) : from;
  return {
    decodes: DECODED_FRAMES.slice(from, Math.max(from, to) + 1),
    decodedRatio: { all: ratio('all'), reference: ratio('reference'), key: ratio('key') },
    offeredFps: packets.fps === null ? null : published(shares[own]),
    whyNotFewer,
  };
}

async function packetsOf(ffmpeg: FfmpegBinary, url: string, signal: AbortSignal): Promise<Packets> {
  const counts = { all: 0, key: 0, firstUs: Number.POSITIVE_INFINITY, lastUs: Number.NEGATIVE_INFINITY };
  let isReordered = false;
  await listPackets(ffmpeg, url, null, signal, {
    isWanted: () => true,
    onPacket: (packet) => {
      counts.all += 1;
      if (packet.isKey) counts.key += 1;
      isReordered ||= packet.isReordered;
      counts.firstUs = Math.min(counts.firstUs, packet.ptsUs ?? counts.firstUs);
      counts.lastUs = Math.max(counts.lastUs, packet.ptsUs ?? counts.lastUs);
    },
  });
  const seconds = (counts.lastUs - counts.firstUs) / 1e6;
  const fps = seconds > 0 && Number.isFinite(seconds) ? (counts.all - 1) / seconds : null;
  return { fps, keyRatio: counts.all === 0 ? 1 : counts.key / counts.all, isReordered };
}
