import { monoNowMs } from '../../../base/core/clock.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { candidates } from '../../../frame/runtime/model/choose-engine.ts';
import { prepareEngine } from '../../../frame/runtime/model/engine-request.ts';
import { NO_LIMITS } from '../../../frame/telemetry/interference.ts';
import type { RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { factsOf } from '../../../settings/config/engines.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { compareTrials, measurePair } from '../../measure/compare.ts';
import { engineAlone } from '../../measure/engine-alone.ts';
import type { FreeMachine } from '../../measure/free-machine.ts';
import type { MachineFacts } from '../../measure/machine-facts.ts';
import {
  configHash,
  type Dependencies,
  type MeasurementKind,
  type MeasurementLog,
  type MeasurementRecord,
} from '../../measure/measurement-log.ts';
import { type Scenario, scenarioName } from '../../measure/scenario.ts';
import type { Target } from '../../measure/targets.ts';
import { OpenTrial, type TrialOptions, type TrialSetup } from '../../measure/trial.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';
import { apply } from '../levers/apply-configuration.ts';
import { type InferPart, partKey } from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import type { Comparison, Evaluator, InferTimes, Pair, Quality, Trial } from '../search/evaluator.ts';
import { measureCrop } from './crop-costs.ts';
import { judgeRecorded } from './judge-recorded.ts';
import type { PictureSample } from './picture-sample.ts';
import type { Judgement, QualityBench, QualityOptions } from './quality-bench.ts';

export type Log = MeasurementLog<Configuration, object>;
export type LoggedRecord = MeasurementRecord<Configuration, object>;

export interface EvaluatorOptions
  extends Pick<QualityOptions, 'pipeline' | 'baseline' | 'environment' | 'ffmpeg' | 'seed' | 'signal' | 'note'> {
  readonly machine: MachineFacts;
  readonly log: Log;
  readonly targets: readonly Target[];
  /** Frames per second of the recording that all streams read: as cameras they cannot be asked for more. Null if they read several. */
  readonly offeredFps: number | null;
  /** Whether runs that read files are stated by their CPU time, see `inCpuTime`. */
  readonly byCpuTime: boolean;
  readonly quality: QualityBench;
  readonly pictures: PictureSample;
  /** Measured time of a long run. */
  readonly longSeconds: number;
  /** Whether comparisons are short. */
  readonly isBrief: boolean;
  /** What waits before each measurement until others leave the CPU alone; null goes on whatever they do. */
  readonly free: FreeMachine | null;
}

type Timing = Pick<TrialOptions, 'seconds' | 'warmUpSeconds' | 'windowSeconds' | 'limitSeconds' | 'interference'>;

const PROBE_SECONDS = 1;
const SHORT: Timing = { seconds: 3, warmUpSeconds: 1.5, windowSeconds: 0.75, limitSeconds: 7 };
const LONG_WARM_UP_SECONDS = 3;
/** Each side of a comparison is measured this often. */
const PAIRS = 5;
const COMPARE: Timing = { seconds: 2.4, warmUpSeconds: 0.8, windowSeconds: 0.8, limitSeconds: 5 };
/** The same in little time, for a small budget: the interval is wider. */
const BRIEF: Timing = { seconds: 1.2, warmUpSeconds: 0.5, windowSeconds: 0.4, limitSeconds: 3 };
/** Seconds of both, for a plan. */
export const COMPARE_SECONDS = { full: 50, brief: 28 } as const;
/** A pair is measured A B B A: half the time for each run, and both sides twice. */
const PAIR: Timing = { seconds: 1.5, warmUpSeconds: 0.7, windowSeconds: 0.5, limitSeconds: 4 };
/** A percentile of a paced run needs many frames; this decides between missed and not known. */
const CAMERAS: Timing = { seconds: 4, warmUpSeconds: 1.5, windowSeconds: 1, limitSeconds: 8 };

/** Measures pipelines for the search, and logs every measurement. A logged one is not repeated by a run that resumes. */
export class PipelineEvaluator implements Evaluator {
  /** Time spent waiting for the machine is not time of the search. */
  readonly clock = { nowSeconds: (): number => monoNowMs() / 1000 - (this.#options.free?.waitedSeconds ?? 0) };
  readonly #options: EvaluatorOptions;
  /** How many measurements of each kind, configuration and scenario were used in this run. */
  readonly #used = new Map<string, number>();
  /** Hash of the compiled network by part. */
  readonly #hashes = new Map<string, Promise<string | null>>();
  /** Paced runs by configuration. */
  readonly #cameras = new Map<string, Promise<LoggedRecord>>();
  /** The first run of the baseline, whose frames a configuration that decodes fewer is measured in. */
  #own: TrialResult | null = null;

  constructor(options: EvaluatorOptions) {
    this.#options = options;
  }

  async probe(part: InferPart): Promise<InferTimes> {
    const configuration = { ...this.#options.baseline, ...part };
    const { result } = await this.#measure('engine', configuration, 'engine alone', () => this.#probe(part));
    return result as unknown as InferTimes;
  }

  /** CPU milliseconds of one crop, by name of the second stage, see `measureCrop`. */
  async cropTimes(results: RecordedResults, stream: StreamConfig): Promise<ReadonlyMap<string, number>> {
    const { pipeline, environment, note: onNotice, pictures, machine } = this.#options;
    const times = new Map<string, number>();
    const alone = { seconds: PROBE_SECONDS, threads: machine.cores };
    for (const stage of pipeline.stages) {
      const options = { model: stage.model, batch: pipeline.batch, environment, onNotice };
      const { engines } = await candidates(options);
      const request = await prepareEngine(options, engines[0]!);
      times.set(stage.name, await measureCrop(stage, request, results, pictures, stream, alone));
    }
    return times;
  }

  async trial(configuration: Configuration): Promise<Trial> {
    const record = await this.offline(configuration, 'short');
    return this.#trialOf(configuration, record.result as TrialResult, [record.id]);
  }

  async pair(a: Configuration, b: Configuration): Promise<Pair> {
    const measure = async (): Promise<object> => {
      const { note, signal } = this.#options;
      const runs = await measurePair(
        await this.#setup(a),
        await this.#setup(b),
        { kind: 'offline' },
        { ...this.#timing(PAIR), note, signal },
      );
      return { a: runs.a.map(withoutDetails), b: runs.b.map(withoutDetails) };
    };
    const record = await this.#measure('pair', b, `offline, beside ${configHash(a).slice(0, 12)}`, measure, [a]);
    const { a: before, b: after } = record.result as unknown as Record<'a' | 'b', [TrialResult, TrialResult]>;
    return {
      before: await this.#trialOf(a, middleOf(before), [record.id]),
      after: await this.#trialOf(b, middleOf(after), [record.id]),
      ratios: [after[0].fps / before[0].fps, after[1].fps / before[1].fps],
      measurements: [record.id],
    };
  }

  /** What the search needs of a run. Whether targets are met is seen at the speed of cameras, once for each configuration. */
  async #trialOf(
    configuration: Configuration,
    { fps, latencyMs, cpuMsPerFrame }: Pick<TrialResult, 'fps' | 'latencyMs' | 'cpuMsPerFrame'>,
    measurements: readonly string[],
  ): Promise<Trial> {
    const found = { fps, p99Ms: latencyMs.p99, cpuMsPerFrame };
    if (this.#options.targets.length === 0) return { ...found, meetsTargets: true, measurements };
    const key = configHash(configuration);
    const cameras = this.#cameras.get(key) ?? this.cameras(configuration, CAMERAS);
    this.#cameras.set(key, cameras);
    const { id, result } = await cameras;
    // Short runs hold too few frames for a percentile; only a limit that is clearly missed counts against it.
    const meetsTargets = this.verdicts(result as TrialResult).every(({ state }) => state !== 'missed');
    return { ...found, meetsTargets, measurements: [...measurements, id] };
  }

  async compare(a: Configuration, b: Configuration): Promise<Comparison> {
    const scenario = scenarioName({ kind: 'offline' });
    const name = `${scenario}, against ${configHash(a).slice(0, 12)}`;
    const measure = async (): Promise<object> => {
      const { seed, note, signal, isBrief } = this.#options;
      const options = { ...this.#timing(isBrief ? BRIEF : COMPARE), seed, note, signal, pairs: PAIRS };
      const compared = await compareTrials(await this.#setup(a), await this.#setup(b), { kind: 'offline' }, options);
      const { ratio, interval, verdict, order } = compared;
      const rates = (side: readonly TrialResult[]): number[] => side.map(({ fps }) => fps);
      const windows = [...compared.a, ...compared.b].flatMap((run) => run.windows);
      return { ratio, interval, verdict, order, before: rates(compared.a), after: rates(compared.b), windows };
    };
    const record = await this.#measure('confirm', b, name, measure, [a]);
    const { ratio, interval } = record.result as unknown as Comparison;
    return { ratio, interval, measurements: [record.id] };
  }

  async screen(configuration: Configuration, hasClip = false): Promise<Quality> {
    const { quality } = this.#options;
    const name = `${quality.nameOf('search')}${hasClip ? ', with the clip' : ''}`;
    return this.#judged('quality', configuration, name, () => quality.screen(configuration, hasClip));
  }

  async checkHarmless(configuration: Configuration): Promise<Quality> {
    const { quality } = this.#options;
    const name = `${quality.nameOf('search')}, that nothing changes`;
    return this.#judged('check', configuration, name, () => quality.checkHarmless(configuration));
  }

  async confirm(configuration: Configuration, finalists: number): Promise<Quality> {
    const { quality } = this.#options;
    const name = `${quality.nameOf('heldOut')}, one of ${finalists} finalists`;
    return this.#judged('verdict', configuration, name, () => quality.confirm(configuration, finalists));
  }

  async #judged(
    kind: 'quality' | 'check' | 'verdict',
    configuration: Configuration,
    name: string,
    judge: () => Promise<object>,
  ): Promise<Quality> {
    const record = await this.#measure(kind, configuration, name, judge, [this.#options.baseline]);
    // Answers are no part of the log: they come after what they are about was measured.
    const settled = this.#options.quality.settle(record.result as unknown as Judgement);
    return { ...settled, measurements: [record.id] };
  }

  /** Runs the pipeline over its files as fast as it can; the baseline first. */
  async offline(
    configuration: Configuration,
    length: 'short' | 'long',
    kind: MeasurementKind = 'trial',
  ): Promise<LoggedRecord> {
    const { longSeconds: seconds } = this.#options;
    const long: Timing = {
      seconds,
      warmUpSeconds: LONG_WARM_UP_SECONDS,
      windowSeconds: 1,
      limitSeconds: seconds * 1.5,
    };
    const record = await this.#run(
      kind,
      configuration,
      { kind: 'offline' },
      this.#timing(length === 'short' ? SHORT : long),
      length,
    );
    this.#own ??= record.result as TrialResult;
    return record;
  }

  /** Runs the pipeline as if its files were cameras, as many as the targets ask for. */
  cameras(configuration: Configuration, timing: Timing, kind: MeasurementKind = 'trial'): Promise<LoggedRecord> {
    const { pipeline, targets } = this.#options;
    const streams = targets.find(({ metric }) => metric === 'streams')?.limit ?? pipeline.streams.length;
    return this.#run(kind, configuration, { kind: 'cameras', streams }, timing, 'paced');
  }

  /** Opens a configuration on which several scenarios are run, such as a search for its capacity. */
  async capacityRun(
    configuration: Configuration,
    use: (measure: (streams: number, fps: number, timing: Timing) => Promise<LoggedRecord>) => Promise<void>,
    targets: readonly Target[],
  ): Promise<void> {
    const { note, signal } = this.#options;
    const trial = await OpenTrial.open(await this.#setup(configuration), { note, signal });
    try {
      await use((streams, fps, timing) => {
        const scenario: Scenario = { kind: 'cameras', streams, fps };
        return this.#measure('capacity', configuration, scenarioName(scenario), () =>
          trial.measure(scenario, { ...timing, note, signal, targets }),
        );
      });
    } finally {
      await trial.close();
    }
  }

  /** What a paced run says about the targets. */
  verdicts(result: TrialResult): TargetVerdict[] {
    return judgeRecorded(this.#options.targets, result, this.#options.offeredFps);
  }

  async #setup(configuration: Configuration): Promise<TrialSetup> {
    const { quality, environment, ffmpeg, baseline, byCpuTime } = this.#options;
    const setup = { pipeline: await quality.applied(configuration), environment, ffmpeg };
    const isSame = configuration.decode === baseline.decode;
    if (isSame && !byCpuTime) return setup;
    const own = this.#own;
    if (!isSame && own === null)
      throw new RangeError('expected a run of the baseline before one that decodes other frames');
    // Cameras are watched by what they publish.
    const restated: TrialSetup['restated'] = (result, { kind }) => {
      if (kind !== 'offline') return result;
      const inOwnFrames = isSame ? result : inFramesOf(own!, result);
      return byCpuTime ? inCpuTime(inOwnFrames) : inOwnFrames;
    };
    return { ...setup, restated };
  }

  /** Of a run whose rate counts. What others take does not matter to CPU time, so none of it is discarded. */
  #timing(timing: Timing): Timing {
    return this.#options.byCpuTime ? { ...timing, interference: NO_LIMITS } : timing;
  }

  #run(
    kind: MeasurementKind,
    configuration: Configuration,
    scenario: Scenario,
    timing: Timing,
    length: string,
  ): Promise<LoggedRecord> {
    const { note, signal, targets } = this.#options;
    const name = `${scenarioName(scenario)}, ${length}`;
    return this.#measure(kind, configuration, name, async () => {
      const trial = await OpenTrial.open(await this.#setup(configuration), { note, signal });
      try {
        return await trial.measure(scenario, { ...timing, note, signal, targets });
      } finally {
        await trial.close();
      }
    });
  }

  async #probe(part: InferPart): Promise<InferTimes> {
    const { pictures, machine } = this.#options;
    const request = await this.#prepare(part);
    const frames = await pictures.fittedTo(request.model.spec);
    const on = (threads: number): ReturnType<typeof engineAlone> =>
      engineAlone(request, frames, { seconds: PROBE_SECONDS, threads });
    const one = await on(1);
    const isOnDevice = factsOf(part.engine).threads === 'one' || request.provider !== 'cpu';
    if (isOnDevice) return { oneThreadMs: 1000 / one.fps, allThreadsMs: 1000 / one.fps };
    const all = machine.cores === 1 ? one : await on(machine.cores);
    return { oneThreadMs: one.cpuMsPerFrame, allThreadsMs: all.cpuMsPerFrame };
  }

  #prepare(part: InferPart): ReturnType<typeof prepareEngine> {
    const { pipeline, environment, note, baseline } = this.#options;
    const { model, batch } = apply(pipeline, { ...baseline, ...part });
    return prepareEngine({ model, batch, environment, onNotice: note }, part.engine);
  }

  /** Compiles the network if need be; null if that fails, then measuring it fails for the same reason. */
  #modelHash(part: InferPart): Promise<string | null> {
    const key = partKey(part);
    let hash = this.#hashes.get(key);
    if (hash === undefined) {
      hash = this.#prepare(part).then(
        ({ model }) => model.hash,
        () => null,
      );
      this.#hashes.set(key, hash);
    }
    return hash;
  }

  /** The compiled network of a measurement, and the configurations that it is compared with. */
  async #dependsOn(configuration: Configuration, against: readonly Configuration[]): Promise<Dependencies> {
    const named = await Promise.all(
      against.map(async (other) => ({ configuration: other, model: await this.#modelHash(other) })),
    );
    const model = (await this.#modelHash(configuration)) ?? 'cannot be compiled';
    return { model, ...(named.length === 0 ? {} : { against: configHash(named) }) };
  }

  /** Measures, unless the log has it from an interrupted run. A failure is logged, too. */
  async #measure(
    kind: MeasurementKind,
    configuration: Configuration,
    scenario: string,
    measure: () => Promise<object>,
    against: readonly Configuration[] = [],
  ): Promise<LoggedRecord> {
    const { log, machine, note, signal } = this.#options;
    signal.throwIfAborted();
    const key = [kind, configHash(configuration), scenario].join(' ');
    const used = this.#used.get(key) ?? 0;
    this.#used.set(key, used + 1);
    const dependsOn = await this.#dependsOn(configuration, against);
    const usable = log.findAll(kind, configuration, scenario, dependsOn);
    const known = usable[used];
    if (known !== undefined && known.error !== null)
      throw new SightlineError('ENGINE_FAILED', `${known.error} (measured before as ${known.id})`);
    if (known !== undefined) return known;
    const others = log.findAll(kind, configuration, scenario).length - usable.length;
    if (used === 0 && others > 0)
      note(`${others} earlier measurements of ${configuration.model} are not used: its compiled model has changed`);
    await this.#options.free?.wait();
    const startedAt = new Date().toISOString();
    const startedMs = monoNowMs();
    const modelHash = await this.#modelHash(configuration);
    const add = (result: object | null, error: string | null): Promise<LoggedRecord> =>
      log.add({
        kind,
        configuration,
        scenario,
        startedAt,
        machine,
        result,
        error,
        dependsOn,
        modelHash,
        seconds: (monoNowMs() - startedMs) / 1000,
      });
    let result: object;
    try {
      result = await measure();
    } catch (error) {
      // An interrupted measurement says nothing about the configuration.
      signal.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      await add(null, message);
      note(`not measured: ${message}`);
      throw SightlineError.from(error, 'ENGINE_FAILED');
    }
    return add(result, null);
  }
}

/** A pair is logged many times; its single frames are of no use. */
function withoutDetails(result: TrialResult): TrialResult {
  return { ...result, latenciesMs: null };
}

/** Two runs as one: their mean rate and p99, and the CPU of the first. */
function middleOf([first, second]: readonly [TrialResult, TrialResult]): Pick<
  TrialResult,
  'fps' | 'latencyMs' | 'cpuMsPerFrame'
> {
  const latencyMs = { ...first.latencyMs, p99: (first.latencyMs.p99 + second.latencyMs.p99) / 2 };
  return { fps: Math.sqrt(first.fps * second.fps), latencyMs, cpuMsPerFrame: first.cpuMsPerFrame };
}

/**
 * Restates a run of a configuration that decodes fewer frames in those of another run of the same streams: so many as that one publishes for
 * the same media time. Each result of the run holds until its next one, so all of them are answered.
 *
 * @param own - the other run; both read files as fast as they can.
 */
export function inFramesOf(own: TrialResult, result: TrialResult): TrialResult {
  const perStream = result.perStream.map((stream, i) => {
    const { fps, mediaSpeed } = own.perStream[i]!;
    return mediaSpeed > 0 ? { ...stream, fps: (stream.mediaSpeed * fps) / mediaSpeed } : stream;
  });
  const streamFps = perStream.map((stream) => stream.fps);
  const fps = streamFps.reduce((sum, rate) => sum + rate, 0);
  const published = fps > 0 ? result.fps / fps : 1;
  const scaled = <T extends object>(costs: T): T =>
    Object.fromEntries(Object.entries(costs).map(([name, cost]) => [name, cost * published])) as T;
  const { cpuMsPerFrame, energy } = result;
  return {
    ...result,
    fps,
    streamFps,
    perStream,
    cpuMsPerFrame: cpuMsPerFrame === null ? null : scaled(cpuMsPerFrame),
    ...(energy === undefined ? {} : { energy: scaled(energy) }),
  };
}

/**
 * Restates a run of files by its CPU time: frames per second of a machine all of whose cores do nothing else. Other programs change that
 * far less than the rate, as time in which they run is not counted; what overlaps better or uses more cores does not change it.
 *
 * @throws ENGINE_FAILED where the system does not report CPU time
 */
export function inCpuTime(result: TrialResult): TrialResult {
  const cpuMs = result.cpuMsPerFrame?.total ?? 0;
  if (cpuMs <= 0 || result.fps <= 0)
    throw new SightlineError('ENGINE_FAILED', 'this system does not report the CPU time of a frame');
  const fps = (result.cores * 1000) / cpuMs;
  const scale = fps / result.fps;
  const perStream = result.perStream.map((stream) => ({
    ...stream,
    fps: stream.fps * scale,
    mediaSpeed: stream.mediaSpeed * scale,
  }));
  return { ...result, fps, perStream, streamFps: perStream.map((stream) => stream.fps) };
}
