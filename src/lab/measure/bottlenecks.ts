import { counted } from '../../base/core/counted.ts';
import { BUSY_STAGES, type BusyStage } from '../../wire/protocol/report.ts';
import type { TrialResult } from './trial-result.ts';

type BottleneckPart = BusyStage | 'cpu' | 'memory' | 'others' | 'event-loop' | 'wait';

export interface Bottleneck {
  readonly part: BottleneckPart;
  /** How much of its capacity is used, 0 to 1. */
  readonly busyRatio: number;
  /** Why it is one, with figures, in plain words. */
  readonly explanation: string;
  readonly remedy: string;
  /** Key of the configuration that the remedy changes; null if it is none. */
  readonly lever: string | null;
  /** Frames per second after the remedy over those before. */
  readonly predictedGain: number;
  /** Filled in after the remedy was tried. */
  readonly measuredGain: number | null;
}

/** Figures of a trial that tell where its time goes. */
export type BottleneckFigures = Pick<
  TrialResult,
  | 'scenario'
  | 'fps'
  | 'cores'
  | 'servers'
  | 'cpuMsPerFrame'
  | 'busyRatio'
  | 'stagesMs'
  | 'heldBackRatio'
  | 'eventLoopP99Ms'
  | 'queueGrowthPerS'
  | 'dropRatio'
  | 'machine'
  | 'gpus'
>;

/** Facts besides the trial. */
export interface BottleneckContext {
  /** True if inference runs on a GPU or another device, not on the CPU. */
  readonly hasOwnDevice: boolean;
  /** Time of an inference while all threads infer divided by its time alone; null if it was not measured. */
  readonly inferSlowdown: number | null;
  /** True if sharp makes the model's input. */
  readonly isResizedBySharp: boolean;
}

/** Assumed shares that remain after a remedy; the text of each remedy states them. */
const FASTER_INFERENCE = 0.5;
/** The decoder's device does the work, and pictures are still scaled and written to the pipe. */
const HARDWARE_DECODING = 0.5;
/** Reading the pipe remains. */
const RESIZED_BY_FFMPEG = 0.2;

const SLOWDOWN_SEEN = 1.1;
const OTHERS_SEEN = 0.05;
const DROPS_SEEN = 0.01;
const EVENT_LOOP_SEEN_MS = 20;
const NEAR_LIMIT = 0.85;
/** Parts that are listed without a gain: they cost latency. */
const OF_LATENCY: readonly BottleneckPart[] = ['event-loop', 'wait', 'others'];
/** Smaller gains are not listed, unless nothing else is found. */
const MIN_GAIN = 1.02;

/**
 * Finds what limits a pipeline, most promising remedy first. A pure function of measurements; gains are those of
 * `predictRate` with the figures that the remedy changes.
 *
 * @returns at least one entry; without CPU figures (no /proc) only what can be said without them.
 */
export function findBottlenecks(figures: BottleneckFigures, context: BottleneckContext): Bottleneck[] {
  const costs = stageCosts(figures, context);
  const found = [...(costs === null ? [] : stageFindings(figures, context, costs)), ...waitFindings(figures)];
  const worthwhile = found.filter(({ predictedGain, part }) => predictedGain >= MIN_GAIN || OF_LATENCY.includes(part));
  const listed = worthwhile.length > 0 ? worthwhile : [busiest(figures)];
  return listed.sort((a, b) => b.predictedGain - a.predictedGain || b.busyRatio - a.busyRatio);
}

/** Returns what each stage costs; null without CPU figures. */
function stageCosts(
  { cpuMsPerFrame, servers, busyRatio, fps }: BottleneckFigures,
  { hasOwnDevice }: Pick<BottleneckContext, 'hasOwnDevice'>,
): StageCosts | null {
  if (cpuMsPerFrame === null || fps <= 0) return null;
  const onDeviceMs = (busyRatio.infer * servers.infer * 1000) / fps;
  const cost = (stage: BusyStage) => {
    const cpuMs = cpuMsPerFrame[stage];
    const serviceMs = stage === 'infer' && hasOwnDevice ? onDeviceMs : cpuMs;
    return { servers: servers[stage], serviceMs, cpuMs };
  };
  return { decode: cost('decode'), preprocess: cost('preprocess'), infer: cost('infer'), main: cost('main') };
}

/** What the driver of GPUs says of a stage: one that computes all the time is the limit, one that waits is not. */
function deviceEvidence(stage: BusyStage, { gpus = [] }: Pick<BottleneckFigures, 'gpus'>): string {
  const key = { infer: 'busyRatio', decode: 'decoderRatio', preprocess: null, main: null } as const;
  const ratios = gpus
    .flatMap((gpu) => (key[stage] === null ? [] : [gpu[key[stage]]]))
    .filter((ratio) => ratio !== null);
  if (ratios.length === 0 || Math.max(...ratios) === 0) return '';
  const what = stage === 'infer' ? 'computes' : 'decodes';
  return ` The GPU ${what} ${percent(Math.max(...ratios))} of the time.`;
}

function stageFindings(figures: BottleneckFigures, context: BottleneckContext, costs: StageCosts): Bottleneck[] {
  const { cores, fps, machine } = figures;
  const othersRatio = (machine.otherRatio ?? 0) + (machine.stealRatio ?? 0);
  // If all cameras are served, the rest of the CPU goes to other processes, and would come back: the kernel shares fairly.
  const isServed = figures.scenario.startsWith('cameras') && figures.dropRatio < DROPS_SEEN;
  const ownCores = isServed ? cores : cores * (1 - othersRatio);
  const now = predictRate(costs, ownCores);
  const evidence = pipeEvidence(figures);
  const limit = (stage: BusyStage): number => stageLimit(costs[stage]);
  const cpuRatio = clamp(fps / cpuLimit(costs, ownCores));
  const isCpuBound = cpuLimit(costs, ownCores) <= Math.min(...BUSY_STAGES.map(limit));
  const totalCpuMs = BUSY_STAGES.reduce((sum, stage) => sum + costs[stage].cpuMs, 0);
  const found: Bottleneck[] = [];

  const stageText = (stage: BusyStage): string => {
    const { serviceMs, servers, cpuMs } = costs[stage];
    const alone = `${sentence(NAMES[stage])} takes ${ms(serviceMs)} a frame on ${counted(servers, 'thread')}, enough for ${rate(limit(stage))} frames/s`;
    const share = `${percent(cpuMs / totalCpuMs)} of the CPU time of a frame`;
    const device = deviceEvidence(stage, figures);
    return isCpuBound
      ? `${alone}; the ${counted(cores, 'core')} shared by all stages allow ${rate(now)}, and this is ${share}.${device}${evidence}`
      : `${alone}; ${rate(fps)} were measured. It is ${share}.${device}${evidence}`;
  };
  const add = (
    part: BottleneckPart,
    busyRatio: number,
    explanation: string,
    { remedy, lever, changed, cores: after = ownCores }: Remedy,
  ): void => {
    const predictedGain = predictRate({ ...costs, ...changed }, after) / now;
    found.push({ part, busyRatio, explanation, remedy, lever, predictedGain, measuredGain: null });
  };

  for (const stage of BUSY_STAGES) {
    const busyRatio = clamp(fps / limit(stage));
    for (const remedy of remediesOf(stage, costs, figures, context)) add(stage, busyRatio, stageText(stage), remedy);
  }
  const { inferSlowdown } = context;
  if (inferSlowdown !== null && inferSlowdown > SLOWDOWN_SEEN && !context.hasOwnDevice) {
    const { cpuMs, serviceMs, servers } = costs.infer;
    const alone = { servers, serviceMs: serviceMs / inferSlowdown, cpuMs: cpuMs / inferSlowdown };
    add(
      'memory',
      1 - 1 / inferSlowdown,
      `An inference takes ${inferSlowdown.toFixed(2)} times as long while ${counted(servers, 'thread')} infer as on one thread alone: they share the memory bandwidth and caches.`,
      {
        remedy:
          'A model that moves fewer bytes: bf16, f16 or INT8, or a smaller input. The gain is that of inferences which do not slow each other.',
        lever: 'precision',
        changed: { infer: alone },
      },
    );
  }
  if (othersRatio > OTHERS_SEEN)
    add(
      'others',
      othersRatio,
      `Other processes and virtual machines use ${percent(othersRatio)} of the CPU; ${
        isServed
          ? 'All frames are inferred nevertheless, but later.'
          : `Sightline uses ${percent(cpuRatio)} of the rest.`
      }`,
      { remedy: 'Run them elsewhere, or limit them to cores of their own.', lever: null, changed: {}, cores },
    );
  return found;
}

interface Remedy {
  readonly remedy: string;
  readonly lever: string | null;
  /** The stages as they are after it. */
  readonly changed: Partial<StageCosts>;
  readonly cores?: number;
}

function remediesOf(
  stage: BusyStage,
  costs: StageCosts,
  { cores, servers }: BottleneckFigures,
  context: BottleneckContext,
): Remedy[] {
  const cost = costs[stage];
  switch (stage) {
    case 'decode':
      return [
        {
          remedy: 'Twice as many decoder threads for each stream.',
          lever: 'decodeThreads',
          changed: { decode: { ...cost, servers: cost.servers * 2 } },
        },
        {
          remedy:
            'A hardware decoder, or smaller streams from the cameras. The gain is that of half the CPU time for decoding.',
          lever: 'hwaccel',
          changed: { decode: scaled(cost, HARDWARE_DECODING) },
        },
      ];
    case 'preprocess':
      if (!context.isResizedBySharp) return [];
      return [
        {
          remedy: `Let ffmpeg make the model's input. The gain is that of a fifth of the CPU time for preprocessing, which reading the pipe takes.`,
          lever: 'resizeBy',
          changed: { preprocess: scaled(cost, RESIZED_BY_FFMPEG) },
        },
      ];
    case 'infer': {
      const faster: Remedy = {
        remedy:
          'A faster engine, bf16 or INT8, a smaller input or a smaller model. The gain is that of half the time for inference.',
        lever: 'engine',
        changed: { infer: scaled(cost, FASTER_INFERENCE) },
      };
      if (context.hasOwnDevice || servers.infer >= cores) return [faster];
      const slower = context.inferSlowdown ?? 1;
      const more: Remedy = {
        remedy: `${cores} inference threads instead of ${servers.infer}.`,
        lever: 'inferenceThreads',
        changed: { infer: { ...scaled(cost, slower), servers: cores } },
      };
      return [more, faster];
    }
    case 'main':
      return [
        {
          remedy: 'A second process of Sightline that takes half of the streams.',
          lever: null,
          changed: { main: { ...cost, servers: 2 } },
        },
      ];
  }
}

/** What says nothing about the rate, but about latency. */
function waitFindings(figures: BottleneckFigures): Bottleneck[] {
  const { stagesMs, busyRatio, eventLoopP99Ms, queueGrowthPerS, dropRatio } = figures;
  const found: Bottleneck[] = [];
  const add = (
    part: 'wait' | 'event-loop',
    ratio: number,
    explanation: string,
    remedy: string,
    lever?: string,
  ): void => {
    found.push({ part, busyRatio: ratio, explanation, remedy, lever: lever ?? null, ...NO_GAIN });
  };
  const serveMs = stagesMs.infer + stagesMs.postprocess;
  const waits = `A frame waits ${ms(stagesMs.wait)} for ${ms(serveMs)} of inference`;
  if (stagesMs.wait > serveMs && busyRatio.infer < NEAR_LIMIT)
    add(
      'wait',
      busyRatio.infer,
      `${waits}, although the inference threads are idle ${percent(1 - busyRatio.infer)} of the time: it waits for others to join its batch, or several frames come at once.`,
      'A shorter batch.maxDelayMs, or batch.maxBatch 1. It changes the latency, not the frames per second.',
      'maxDelayMs',
    );
  else if (stagesMs.wait > serveMs && (queueGrowthPerS > 1 || dropRatio > 0))
    add(
      'wait',
      busyRatio.infer,
      `${waits}; the frames in flight grow by ${queueGrowthPerS.toFixed(1)} a second and ${percent(dropRatio)} are dropped: more frames come than can be inferred.`,
      'Fewer streams on this host, fewer frames of each (maxFps), or what makes inference faster.',
    );
  if (eventLoopP99Ms > EVENT_LOOP_SEEN_MS)
    add(
      'event-loop',
      busyRatio.main,
      `One in a hundred callbacks of the main thread waits ${ms(eventLoopP99Ms)} or longer, and frames with it; the thread is busy ${percent(busyRatio.main)} of the time.`,
      'Move slow listeners and sinks out of this process, or use more cores than busy threads.',
    );
  return found;
}

/** Of a remedy that does not change the rate. */
const NO_GAIN = { predictedGain: 1, measuredGain: null };

/** A held-back ffmpeg has frames to deliver, so a later stage is slower. */
function pipeEvidence({ heldBackRatio }: BottleneckFigures): string {
  if (heldBackRatio >= 0.5)
    return ` ffmpeg is held back ${percent(heldBackRatio)} of the time: a later stage is slower.`;
  return '';
}

function busiest({ busyRatio }: BottleneckFigures): Bottleneck {
  const part = BUSY_STAGES.reduce((a, b) => (busyRatio[b] > busyRatio[a] ? b : a));
  return {
    part,
    busyRatio: busyRatio[part],
    explanation: `Nothing is near its limit; ${NAMES[part]} is the busiest part, ${percent(busyRatio[part])} of its capacity.`,
    remedy: 'More streams, or a larger model: there is room.',
    lever: null,
    ...NO_GAIN,
  };
}

const NAMES: Readonly<Record<BusyStage, string>> = {
  decode: 'decoding',
  preprocess: 'preprocessing',
  infer: 'inference',
  main: 'the main thread',
};

function scaled<T extends { readonly serviceMs: number; readonly cpuMs: number }>(cost: T, by: number): T {
  return { ...cost, serviceMs: cost.serviceMs * by, cpuMs: cost.cpuMs * by };
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function rate(fps: number): string {
  return Number.isFinite(fps) ? fps.toFixed(1) : 'any number of';
}

function sentence(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}

function clamp(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}

/** What one stage costs, and how many frames it works on at the same time. */
interface StageCost {
  readonly servers: number;
  /** Time of a frame on one server, in milliseconds. */
  readonly serviceMs: number;
  /** CPU time of a frame. Less than `serviceMs` if the stage has a device of its own. */
  readonly cpuMs: number;
}

export type StageCosts = Readonly<Record<BusyStage, StageCost>>;

/**
 * Predicts the frames per second of files read as fast as possible: the slowest stage, or all stages together on the
 * cores that they share.
 *
 *     rate = min( min over stages of servers / service time,  cores / CPU time of a frame )
 *
 * The first term is the bound of the bottleneck of a closed queueing network (Denning and Buzen, 1978).
 */
export function predictRate(stages: StageCosts, cores: number): number {
  return Math.min(cpuLimit(stages, cores), ...BUSY_STAGES.map((stage) => stageLimit(stages[stage])));
}

/** Frames per second that a stage alone could do. */
function stageLimit({ servers, serviceMs }: StageCost): number {
  return serviceMs <= 0 ? Number.POSITIVE_INFINITY : (servers * 1000) / serviceMs;
}

/** Frames per second for which the cores have time. */
function cpuLimit(stages: StageCosts, cores: number): number {
  const cpuMs = BUSY_STAGES.reduce((sum, stage) => sum + stages[stage].cpuMs, 0);
  return cpuMs <= 0 ? Number.POSITIVE_INFINITY : (cores * 1000) / cpuMs;
}
