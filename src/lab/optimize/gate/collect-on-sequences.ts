import { check } from '../../../settings/config/check.ts';
import { modelConfig } from '../../../settings/config/model-config.ts';
import { parseStream } from '../../../settings/config/parse-stream.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { type CollectedResults, type CollectOptions, collectOnVideo, heldResults } from './collect-results.ts';
import { TRACKED_LABEL, type TrackSequence } from './track-sequence.ts';

/** Settings of a stream that decide how objects are followed. The others are about the scene of its camera, which is none of a sequence. */
const FOLLOWING = [
  'decode',
  'decodeThreads',
  'hwaccel',
  'resizeBy',
  'every',
  'maxFps',
  'skip',
  'track',
  'scoreThreshold',
] as const;

/** Of the settings of a stream, those that decide how objects are followed. */
export function followingSettings(stream: Readonly<Record<string, unknown>> | StreamConfig): Record<string, unknown> {
  const settings = stream as Readonly<Record<string, unknown>>;
  return Object.fromEntries(FOLLOWING.flatMap((key) => (settings[key] == null ? [] : [[key, settings[key]]])));
}

/** What costs nothing and finds nothing: it only tells which frames there are. */
const NO_DETECTOR = { engine: 'fake', inputSize: '64x64', fake: { callMs: 0 } };

/**
 * Runs a configuration on the videos of sequences, as `collectOnVideo` does, with the settings of a stream that decide how objects are followed.
 *
 * @returns results for every frame of the sequences: one that is not decoded or left out keeps the last result.
 * @throws as `collectOnVideo`
 */
export async function collectOnSequences(
  options: CollectOptions,
  stream: StreamConfig,
  sequences: readonly TrackSequence[],
  collect: typeof collectOnVideo = collectOnVideo,
): Promise<CollectedResults> {
  const clips = sequences.map(({ video }) => video);
  const plain = { id: stream.id, source: clips[0]!, policy: 'file', labels: [TRACKED_LABEL] };
  const own = parseStream({ ...plain, ...followingSettings(stream) }, {});
  const found = await collect(options, own, clips);
  if (own.decode === 'all' && own.every === 1 && own.maxFps === undefined) return found;
  const model = check(modelConfig, NO_DETECTOR, 'model');
  return heldResults(await collect({ ...options, model, stages: [] }, parseStream(plain, {}), clips), found);
}
