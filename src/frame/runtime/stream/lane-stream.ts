import { viewsOf } from '../../../base/geometry/views.ts';
import { LANE_KEYS, type StreamConfig, tapsPackets } from '../../../settings/config/stream.ts';
import type { LaneStream, LaneTuning } from '../../../wire/protocol/threads.ts';
import { takesCommands } from '../../decode/shed-filters.ts';
import { type SharedFrames, settingsOf } from './arrangement.ts';
import type { StreamPlace } from './stream-place.ts';
import type { StreamInput, StreamModel, StreamPort } from './stream-port.ts';
import type { StreamRing } from './stream-ring.ts';

/** Builds the message that opens a stream on a lane: its settings, and where an earlier connection stopped. */
export function laneStream(
  config: StreamConfig,
  input: StreamInput,
  { ffmpeg, preview }: Pick<StreamPort, 'ffmpeg' | 'preview'>,
  { spec, hashesInput }: Pick<StreamModel, 'spec' | 'hashesInput'>,
  ring: StreamRing,
  place: StreamPlace,
  { second, changeGate, findsShift, keepsInput }: SharedFrames,
): LaneStream {
  const { policy, picture, bulk } = input;
  const { hwaccel, decode, decodeThreads } = config;
  const views = viewsOf(config);
  return {
    streamId: config.id,
    ring: ring.handle,
    spec,
    input: laneInput(input),
    policy,
    picture,
    ...(views === null ? {} : { views }),
    ...(second === null ? {} : { second }),
    ffmpeg,
    ...settingsOf(config, LANE_KEYS.pace),
    // Nobody watches a recording that is read as fast as it goes.
    ...(bulk === undefined ? {} : { signs: [] }),
    hwaccel,
    decode,
    decodeThreads,
    firstFrame: place.nextFrame,
    mediaTime: place.mediaTime(policy),
    after: policy === 'live' ? null : place.after,
    shift: place.shift,
    preview,
    changeGate,
    findsShift: findsShift || bulk?.isTrackedLater === true,
    keepsInput,
    hashesInput,
    tapsPackets: bulk === undefined && tapsPackets(config),
    isBackground: bulk?.isBackground === true,
  };
}

function laneInput({ feed, imagePaths, resizeImagesBy: resizeBy = 'sharp', source }: StreamInput): LaneStream['input'] {
  if (feed !== undefined) return { kind: 'pushed' };
  return imagePaths !== null ? { kind: 'images', paths: imagePaths, resizeBy } : { kind: 'video', source: source! };
}

/** Returns what the lane of an open stream can change while it reads. */
export function tunableOf(
  { source, policy, picture }: StreamInput,
  ffmpegMajor: number,
): ReadonlySet<keyof LaneTuning> {
  if (source === null) return new Set(['staleMs', 'openTimeoutMs', 'signs']);
  // A file goes on at its next frame when it is opened again: it loses none, and takes exactly those of its new rate.
  const rate = policy === 'live' && takesCommands(ffmpegMajor) ? (['every', 'maxFps'] as const) : [];
  // Where sharp makes the input, a frame that the old gate called unchanged has none, and the new settings may need it.
  const gate = picture === null ? (['changeGate', 'keepsInput'] as const) : [];
  return new Set([...rate, ...gate, 'staleMs', 'openTimeoutMs', 'signs', 'masks', 'findsShift']);
}
