import { inputKey, type ModelSpec } from '../../../base/core/model.ts';
import { viewsOf } from '../../../base/geometry/views.ts';
import { changeGateOf, type SkipConfig } from '../../../settings/config/skip.ts';
import { LANE_KEYS, type StreamConfig, tapsPackets } from '../../../settings/config/stream.ts';
import type { LaneSettings, LaneStream, LaneTuning } from '../../../wire/protocol/threads.ts';
import { sourceScheme } from '../../source/parse-source.ts';
import { isTracked } from './stream-analytics.ts';
import { isPaced } from './stream-input.ts';

/** Another model that shares a stream's frames, and the frames that a stream with its settings skips. */
interface Beside {
  readonly instance: string;
  readonly skip: SkipConfig;
}

/** The model that infers a stream. */
export interface Models {
  /** Name of its instance. */
  readonly instance: string;
  /** The one that it is compared with; null if there is none. */
  readonly beside: Beside | null;
}

/** The settings of a stream and its models. */
export interface Arrangement extends Models {
  readonly config: StreamConfig;
}

/** What a lane makes of a frame beyond the input of the stream's own model. */
export interface SharedFrames extends Pick<LaneStream, 'changeGate' | 'findsShift' | 'keepsInput'> {
  /** Model with another input, which is made as well; null if there is none. */
  readonly second: ModelSpec | null;
}

type SpecOf = (instance: string) => ModelSpec;

/** Returns what the frames must hold, so that both models of an arrangement can infer them. */
export function sharedFrames({ config, instance, beside }: Arrangement, specOf: SpecOf): SharedFrames {
  const own = changeGateOf(config.skip);
  const findsShift = isTracked(config);
  if (beside === null) return { second: null, changeGate: own, findsShift, keepsInput: false };
  const other = changeGateOf(beside.skip);
  const spec = specOf(beside.instance);
  const isSameInput = inputKey(specOf(instance)) === inputKey(spec);
  return {
    second: isSameInput ? null : spec,
    changeGate: own ?? other,
    findsShift,
    // The one without a gate infers unchanged pictures.
    keepsInput: (own === null) !== (other === null),
  };
}

/** Names how the pixels of a frame are made. Frames of one key show the same, whichever model they are made for. */
export function pixelKey({ config, instance }: Arrangement, specOf: SpecOf): string {
  const resizeBy = config.resizeBy === 'auto' ? (specOf(instance).resizeBy ?? 'ffmpeg') : config.resizeBy;
  // The views say what region, tiles and zones come to.
  const views = { views: viewsOf(config), region: undefined, tiles: undefined };
  return JSON.stringify({ ...settingsOf(config, LANE_KEYS.seen), resizeBy, ...views });
}

/** Returns what a lane does for an arrangement that it may be able to change while it reads. */
export function laneTuning(arrangement: Arrangement, specOf: SpecOf): LaneTuning {
  const { changeGate, findsShift, keepsInput } = sharedFrames(arrangement, specOf);
  return { ...settingsOf(arrangement.config, LANE_KEYS.pace), changeGate, findsShift, keepsInput };
}

/** Returns the settings of these keys; null for those that are absent. */
export function settingsOf<K extends keyof StreamConfig>(config: StreamConfig, keys: readonly K[]): LaneSettings<K> {
  return Object.fromEntries(keys.map((key) => [key, config[key] ?? null])) as LaneSettings<K>;
}

/**
 * Names everything that a lane does for an arrangement. The order of both models makes no difference.
 *
 * @param tunable - what is left out, since the lane can change it while it reads.
 */
export function laneKey(
  arrangement: Arrangement,
  specOf: SpecOf,
  tunable: ReadonlySet<keyof LaneTuning> = new Set(),
): string {
  const { config, instance } = arrangement;
  const { second } = sharedFrames(arrangement, specOf);
  const inputs = [specOf(instance), ...(second === null ? [] : [second])].map(inputKey).sort();
  const tuning = Object.entries(laneTuning(arrangement, specOf)).filter(
    ([key]) => !tunable.has(key as keyof LaneTuning),
  );
  // Their crops are cut from full pictures.
  const isLookedAt = (config.stages?.length ?? 0) > 0;
  return JSON.stringify([readingOf(config), pixelKey(arrangement, specOf), tuning, inputs, isLookedAt]);
}

/** Returns how a source is read. Settings that have no effect on a source of its kind are left out. */
function readingOf(config: StreamConfig): object {
  const { source, policy } = config;
  const all = { source, taps: tapsPackets(config), ...settingsOf(config, LANE_KEYS.reading) };
  // Only the placeholder's value says what it is.
  if (/^\$\{/.test(source)) return all;
  const camera = { policy: policy === 'file', loop: undefined, realtime: undefined };
  switch (sourceScheme(source)) {
    case 'rtsp':
      return { ...all, ...camera, insecureTls: undefined };
    case 'rtsps':
    case 'rtmps':
      return { ...all, ...camera, transport: undefined };
    case 'rtmp':
    case 'srt':
      return { ...all, ...camera, transport: undefined, insecureTls: undefined };
    case 'http':
    case 'https':
      return { ...all, loop: undefined, realtime: isPaced(config), transport: undefined };
    case 'device':
      return { ...all, ...camera, transport: undefined, insecureTls: undefined, decode: undefined };
    case 'synthetic':
      return { ...all, transport: undefined, insecureTls: undefined, decode: undefined };
    default:
      return { ...all, transport: undefined, insecureTls: undefined };
  }
}
