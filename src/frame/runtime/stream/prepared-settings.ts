import { viewCount } from '../../../base/geometry/views.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { StreamLoad } from '../../telemetry/judge-overload.ts';
import { GOOD_TRACK_FPS, LEAST_TRACK_FPS } from '../../track/track-rate.ts';
import type { Arrangement } from './arrangement.ts';
import { SkipPlan } from './skip-plan.ts';
import { rulesWithTracks, StreamAnalytics } from './stream-analytics.ts';
import type { StreamInput, StreamPolicy } from './stream-port.ts';
import { StreamTargets } from './stream-targets.ts';

/** Settings of a stream and what was made from them. Replaced as a whole, so that old and new settings never mix. */
export interface PreparedSettings extends Arrangement {
  readonly input: StreamInput;
  readonly policy: StreamPolicy;
  readonly analytics: StreamAnalytics;
  readonly targets: StreamTargets;
  /** Null if every frame is inferred. */
  readonly skips: SkipPlan | null;
}

/**
 * Makes everything that depends on a stream's settings, and changes nothing.
 *
 * @param reportScore - boxes below this are not reported.
 * @param before - the settings until now; tracks, counts and missed targets go on.
 * @param requestLook - makes the change gate call the next picture changed.
 * @throws RangeError for settings that the schema refuses.
 */
export function prepareSettings(
  { config, instance, beside }: Arrangement,
  input: StreamInput,
  reportScore: number,
  before: PreparedSettings | null,
  requestLook: () => void,
): PreparedSettings {
  return {
    config,
    instance,
    beside,
    input,
    policy: policyOf(config, input),
    analytics: new StreamAnalytics(config, reportScore, before?.analytics),
    targets: new StreamTargets(config, before?.targets),
    skips: SkipPlan.of(config.skip, input.policy === 'file', requestLook),
  };
}

function policyOf(config: StreamConfig, { policy, bulk, feed }: StreamInput): StreamPolicy {
  const { priority, weight, queueSize, maxAgeMs } = config;
  // Segments of jobs use what live streams leave, and end one after the other.
  const isBackground = bulk?.isBackground === true;
  // Pictures of requests have a deadline, and a file may take hours.
  const isGuest = isBackground && feed !== undefined;
  const share = {
    priority,
    weight,
    hasFloor: !isBackground,
    ...(isGuest ? { isGuest } : {}),
    views: viewCount(config),
  };
  return policy === 'live'
    ? { ...share, queueSize, maxAgeMs, wake: 'always' }
    : { ...share, queueSize: null, maxAgeMs: null, wake: 'when-idle' };
}

/** Returns what a stream's settings say about its load. */
export function loadOf({
  config,
  policy,
  targets,
}: PreparedSettings): Omit<StreamLoad, 'fps' | 'keyFps' | 'keyShare' | 'hasKeyFramesOnly'> {
  const { isBehind, isMissing } = targets;
  const rules = rulesWithTracks(config);
  return {
    config,
    views: policy.views ?? 1,
    isBehind,
    isMissing: isMissing.fps || isMissing.latency,
    needs: rules.length === 0 ? null : { goodFps: GOOD_TRACK_FPS, leastFps: LEAST_TRACK_FPS, rules },
  };
}
