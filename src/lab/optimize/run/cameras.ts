import { findCapacity } from '../../measure/find-capacity.ts';
import { framesToDecide, parseTargets, type Target } from '../../measure/targets.ts';
import type { TrialOptions } from '../../measure/trial.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';
import type { ReportCapacity } from '../report/report-input.ts';
import type { Configuration } from '../result.ts';
import type { MachineShape } from '../search/cost-model.ts';
import type { LoggedRecord, PipelineEvaluator } from './pipeline-evaluator.ts';

/** Cameras of this rate and limit decide how many a host can serve, unless targets say otherwise. */
export const CAPACITY_FPS = 30;
const CAPACITY_TARGET = 'p99<=100ms';
const MOST_CAMERAS = 64;
const CAPACITY_TIMING = { warmUpSeconds: 1.5, windowSeconds: 1 } as const;
/** A first look at a number of cameras; what proves it takes as long as a percentile of each camera needs. */
const CAPACITY_LOOK_SECONDS = 3;
/** The search begins at this share of what the rate offline would allow. */
const CAPACITY_START_RATIO = 0.6;

/** A paced run, longer where percentiles of each camera need more frames; cameras without a target for the rate send this many. */
const PACED = { leastSeconds: 18, mostSeconds: 60, warmUpSeconds: 2, windowSeconds: 1 } as const;
const PACED_FPS = 25;

/**
 * As long as it takes to decide a percentile of each camera with up to one slow frame.
 *
 * @param decodedRatio - share of the frames that are decoded.
 */
export function pacedTiming(targets: readonly Target[], ownStreams: number, decodedRatio: number) {
  const limitOf = (wanted: Target['metric']): number | undefined =>
    targets.find(({ metric }) => metric === wanted)?.limit;
  const frames = framesToDecide(targets, { streams: limitOf('streams') ?? ownStreams, misses: 1 });
  const { leastSeconds, mostSeconds, warmUpSeconds, windowSeconds } = PACED;
  const fps = decodedRatio * (limitOf('fps') ?? PACED_FPS);
  const seconds = Math.min(mostSeconds, Math.max(leastSeconds, Math.ceil(frames / fps)));
  return { seconds, warmUpSeconds, windowSeconds, limitSeconds: Math.ceil(seconds * 1.3) };
}

export async function pacedVerdicts(
  evaluator: PipelineEvaluator,
  pacing: ReturnType<typeof pacedTiming>,
  configurations: readonly [Configuration, Configuration],
): Promise<readonly [readonly TargetVerdict[], readonly TargetVerdict[]]> {
  const verdicts = async (configuration: Configuration): Promise<readonly TargetVerdict[]> => {
    const { result } = await evaluator.cameras(configuration, pacing, 'confirm');
    return evaluator.verdicts(result as TrialResult);
  };
  return [await verdicts(configurations[0]), await verdicts(configurations[1])];
}

/**
 * Finds how many cameras each configuration serves within the latency target; null where so few frames are decoded that the time does not
 * decide it.
 */
export async function capacitiesOf(
  evaluator: PipelineEvaluator,
  targets: readonly Target[],
  sides: readonly [LoggedRecord, LoggedRecord],
  secondsOfEach: number,
  decodedRatio: MachineShape['decodedRatio'],
  { signal, note }: Pick<TrialOptions, 'signal' | 'note'>,
): Promise<readonly [ReportCapacity | null, ReportCapacity | null]> {
  const limits = targets.filter(({ metric }) => metric !== 'streams' && metric !== 'fps');
  const judged = limits.length > 0 ? limits : parseTargets(CAPACITY_TARGET);
  const capacityOf = async ({ configuration, result }: LoggedRecord): Promise<ReportCapacity | null> => {
    const fps = CAPACITY_FPS * decodedRatio[configuration.decode];
    if (framesToDecide(judged, { streams: 1 }) / fps > secondsOfEach) {
      note(
        `its cameras are not counted: of ${configuration.decode} frames there are too few to decide within the time`,
      );
      return null;
    }
    const affordable = ((result as TrialResult).fps / CAPACITY_FPS) * CAPACITY_START_RATIO;
    const start = Math.min(MOST_CAMERAS, Math.max(1, Math.floor(affordable)));
    const ids: string[] = [];
    const untilMs = performance.now() + secondsOfEach * 1000;
    let found: ReportCapacity | null = null;
    await evaluator.capacityRun(
      configuration,
      async (measure) => {
        const capacity = await findCapacity(
          async (streams, isProof) => {
            const proofSeconds = Math.ceil(framesToDecide(judged, { streams }) / fps);
            const seconds = Math.max(CAPACITY_LOOK_SECONDS, isProof ? proofSeconds : 0);
            const timing = { ...CAPACITY_TIMING, seconds, limitSeconds: seconds * 1.5 };
            const record = await measure(streams, CAPACITY_FPS, timing);
            ids.push(record.id);
            return record.result as TrialResult;
          },
          { start, most: MOST_CAMERAS, signal, note, isOver: () => performance.now() > untilMs },
        );
        const { streams: cameras, result, isProven } = capacity;
        const target = judged.map(({ text }) => text).join(',');
        found = { cameras, cameraFps: CAPACITY_FPS, p99Ms: result.latencyMs.p99, target, isProven, measurements: ids };
      },
      judged,
    );
    return found;
  };
  note(`finding how many cameras of ${CAPACITY_FPS} frames/s the baseline and the best serve`);
  const before = await capacityOf(sides[0]);
  if (sides[0].id === sides[1].id) return [before, before];
  return [before, await capacityOf(sides[1])];
}
