import type { StreamConfig } from '../../settings/config/stream.ts';
import type { BrokenRules, RemedyBody, RemedyChange } from '../../wire/protocol/overload.ts';
import { BOTTLENECK_RATIO, type BusyStage, type HostReport } from '../../wire/protocol/report.ts';

/** A running live stream: what is expected of it, what it does. Rates in frames per second. */
export interface StreamLoad {
  readonly config: Pick<StreamConfig, 'id' | 'maxFps' | 'target' | 'maxAgeMs' | 'track' | 'decode'>;
  readonly fps: { readonly in: number; readonly inferred: number; readonly published: number };
  /** Model inputs of an inferred frame. */
  readonly views: number;
  /** It misses a target now, because of the host and not of its source or settings. */
  readonly isBehind: boolean;
  /** It has missed a target for some seconds, and still does. */
  readonly isMissing: boolean;
  /** Key frames per second of its source, at least; null if unknown. */
  readonly keyFps: number | null;
  /** Share of its frames that are key frames, if all are decoded; null if unknown. */
  readonly keyShare: number | null;
  /** Its source has no other frames. */
  readonly hasKeyFramesOnly: boolean;
  /** What its rules and lines need to follow objects; null if it has none that follow any. */
  readonly needs: RuleNeeds | null;
}

/** Frames per second that rules need. */
interface RuleNeeds {
  /** At which they miss hardly anything. */
  readonly goodFps: number;
  /** Below which they miss much. */
  readonly leastFps: number;
  /** Their ids. */
  readonly rules: readonly string[];
}

/** What can say its load. */
export interface LoadedStream {
  readonly config: StreamLoad['config'];
  /** Null unless it is a live stream that runs. */
  load(nowMs: number): StreamLoad | null;
}

/** Another detector at hand. */
export interface OtherModel {
  readonly name: string;
  /** Time of an inference of the present detector divided by its own. */
  readonly speedup: number;
  /** How that is known. */
  readonly basis: string;
}

export interface HostLoad extends Pick<HostReport, 'busyRatio' | 'cpuCores' | 'othersCores' | 'cores'> {
  readonly streams: readonly StreamLoad[];
  /** Model inputs per second that the host can infer for them, as measured. */
  readonly capacity: number;
  /** Those that it infers now, also of frames that are too old then. */
  readonly inferred: number;
  /** Cores that this takes; null if that is not known. */
  readonly inferCores: number | null;
  readonly models: readonly OtherModel[];
}

/** From this share of the streams on, missed targets are trouble of the host. */
const MANY_RATIO = 0.5;
/** The same, from this share of what is asked for down. */
const ENOUGH_RATIO = 0.95;
/** Share of what the host can do that is asked of it afterwards: at its limit every frame waits. */
const USE_RATIO = 0.95;
/** The same where frames are not too few but too late. */
const PROMPT_RATIO = 0.8;
/** What a remedy leads to, in frames per second. */
interface Effect {
  /** Of all live streams together; null if it cannot be known. */
  readonly fps: number | null;
  /** Of each stream that asks for as much or more; null if it cannot be known. */
  readonly streamFps: number | null;
}

/** A way out of an overload. */
export type RemedyFacts = Effect &
  (
    | {
        readonly kind: 'rate';
        /** Of each stream without rules that is lowered, else of each with some. */
        readonly rate: number;
        /** Of those with rules, where it is another one; null otherwise. */
        readonly ruledRate: number | null;
        readonly streams: number;
        readonly changes: readonly RemedyChange[];
        readonly breaks: readonly BrokenRules[];
      }
    | { readonly kind: 'model'; readonly model: OtherModel }
    | {
        readonly kind: 'decode';
        readonly frames: 'reference' | 'key';
        /** Of the decoder, relative to all frames. */
        readonly timeShare: number;
        readonly changes: readonly RemedyChange[];
      }
  );

/** What is short on a host, and what helps. */
export interface OverloadFacts {
  readonly stage: BusyStage;
  /** work: the stage has too much to do; others: other programs have its cores. */
  readonly cause: 'work' | 'others';
  /** few: too few frames are published; late: enough of them, too late. */
  readonly lack: 'few' | 'late';
  readonly askedFps: number;
  readonly doneFps: number;
  /** What other programs use, where it is a good part of the cores; null otherwise. */
  readonly othersCores: number | null;
  readonly cores: number;
  /** The best first. */
  readonly remedies: readonly RemedyFacts[];
}

/** From this share of all cores on, processes wait for each other. */
const SATURATED_RATIO = 0.85;
/** From this share of the cores on, what other programs take is said. */
const OTHERS_RATIO = 0.25;
/** If fewer of the expected frames than this enter, they get lost before the detector. */
const ENTERED_RATIO = 0.9;
/** Share of the busy cores from which on decoding can be why frames do not enter. */
const LATE_DECODING_RATIO = 0.3;
/** Time of ffmpeg's decoder, relative to decoding all frames: 0.66 to 0.77 and 0.08 to 0.29 on three clips. */
export const DECODE_TIME: Readonly<Record<StreamConfig['decode'], number>> = { all: 1, reference: 0.72, key: 0.19 };
/** A remedy that gives less than this more than the one before is not named. */
const WORTHWHILE = 1.1;
const MOST_MODELS = 3;
/** The same for key frames, by their share of all frames: 0.15 for one of 50, 0.44 for one of 10, which take more bits then. */
const KEY_TIME = { none: 0.07, each: 3.7 };
/** What a frame costs beside decoding and inference: messages, the tracker, the page. */
const CORES_PER_FPS = 0.002;
const LEAST_FPS = 0.1;
/** What limits a host: a stage, or all cores together. */
export interface Busy {
  readonly part: BusyStage | 'processor';
  /** 0 to 1. */
  readonly ratio: number;
}

/** Returns what limits a host; null if all has room, or nothing was measured yet. */
export function busyOf(host: HostReport | undefined): Busy | null {
  if (host === undefined) return null;
  const ratio = host.busyRatio[host.bottleneck];
  if (ratio >= BOTTLENECK_RATIO) return { part: host.bottleneck, ratio };
  const processor = usedCores(host) / host.cores;
  return processor < SATURATED_RATIO ? null : { part: 'processor', ratio: Math.min(1, processor) };
}

/** Cores that this process and all others use: none is left for more work, whoever has them. */
function usedCores({ cpuCores, othersCores = 0 }: Pick<HostReport, 'cpuCores' | 'othersCores'>): number {
  return cpuCores + othersCores;
}

function isSaturated(load: HostLoad): boolean {
  return usedCores(load) >= SATURATED_RATIO * load.cores;
}

/** Frames per second that somebody expects of a stream. What its own limit keeps from a target is no lack of the host. */
function demandOf({ config, fps }: Pick<StreamLoad, 'config' | 'fps'>): number {
  return Math.min(config.target.fps ?? fps.in, config.maxFps ?? Number.POSITIVE_INFINITY);
}

/** Frames per second that a stream takes as long as it can: a target is no limit. */
function takenBy(stream: Pick<StreamLoad, 'config' | 'fps'>): number {
  return Math.max(demandOf(stream), stream.fps.in);
}

/** Returns what is short and what helps; null if the host does what is asked of it, or something else is the cause. */
export function judgeOverload(load: HostLoad): OverloadFacts | null {
  const { streams } = load;
  const behind = streams.filter(({ isBehind }) => isBehind);
  const askedFps = sum(streams, demandOf);
  const doneFps = sum(streams, ({ fps }) => fps.published);
  const isEnough = sum(streams, (each) => Math.min(each.fps.published, demandOf(each))) >= ENOUGH_RATIO * askedFps;
  if (behind.length === 0 || (isEnough && behind.length < MANY_RATIO * streams.length)) return null;
  const stage = shortStage(load);
  if (stage === null) return null;
  const remedies = stage === 'decode' ? decodeRemedies(load) : rateRemedies(load, stage, isEnough);
  const { othersCores = 0, cores, cpuCores } = load;
  const isOthers = othersCores >= OTHERS_RATIO * cores;
  // What waits for a core looks busy, the main thread first.
  const hasCores = isOthers && isSaturated(load) && (stage === 'main' || othersCores >= cpuCores);
  return {
    stage,
    cause: hasCores ? 'others' : 'work',
    lack: isEnough ? 'late' : 'few',
    askedFps,
    doneFps,
    othersCores: isOthers ? othersCores : null,
    cores,
    remedies,
  };
}

/**
 * Decoding is short if all cores are busy, a good part of them with it, and frames do not even enter; or most of them, and the detector
 * has time. Whatever waits for a core looks busy as well, so that comes first.
 */
function shortStage(load: HostLoad): BusyStage | null {
  const { streams, busyRatio, cpuCores, cores } = load;
  const isFull = isSaturated(load);
  const decoding = (busyRatio.decode * cores) / cpuCores;
  const isLate = enteredRatio(streams) < ENTERED_RATIO;
  if (isFull && isLate && decoding >= LATE_DECODING_RATIO) return 'decode';
  if (isFull && busyRatio.infer < BOTTLENECK_RATIO && decoding > 0.5) return 'decode';
  const stages = ['infer', 'preprocess', 'main'] as const;
  const stage = stages.reduce((a, b) => (busyRatio[b] > busyRatio[a] ? b : a));
  return isFull || busyRatio[stage] >= BOTTLENECK_RATIO ? stage : null;
}

/** Share of the expected frames that enter. */
function enteredRatio(streams: readonly StreamLoad[]): number {
  const asked = sum(streams, demandOf);
  return asked === 0 ? 1 : sum(streams, (stream) => Math.min(stream.fps.in, demandOf(stream))) / asked;
}

function rateRemedies(load: HostLoad, stage: BusyStage, isEnough: boolean): RemedyFacts[] {
  const { streams, models, busyRatio } = load;
  const use = isEnough ? PROMPT_RATIO : USE_RATIO;
  const { rate } = ratesWithin(streams, use * load.capacity);
  const lower = loweredRates(load, use);
  // A moment ago the host could do more than is asked of it.
  const remedies: RemedyFacts[] = lower.changes.length > 0 ? [lower] : [];
  if (stage !== 'infer') return remedies;
  // The other stages have more to do then.
  const others = Math.max(busyRatio.preprocess, busyRatio.main, 0.01);
  const faster = models
    .map((model) => {
      const growth = Math.min(model.speedup, USE_RATIO / others);
      return { model, rate: rateWithin(streams, use * growth * load.capacity) };
    })
    .filter((each) => each.rate > WORTHWHILE * rate)
    .sort((a, b) => b.rate - a.rate)
    .slice(0, MOST_MODELS);
  for (const { model, rate: fps } of faster) remedies.push({ kind: 'model', model, ...outcome(streams, fps) });
  return remedies;
}

/** Lower rates for all that are asked for more than they can have, those with rules last. */
function loweredRates({ streams, capacity }: HostLoad, use: number): Extract<RemedyFacts, { kind: 'rate' }> {
  const settable = (rate: number): number => downToTwoDigits(Math.max(LEAST_FPS, rate));
  const { rate, ruledRate } = ratesWithin(streams, use * capacity);
  const possible = ratesWithin(streams, capacity);
  const rateOf = (stream: StreamLoad): number => settable(stream.needs === null ? rate : ruledRate);
  const slower = streams.filter((stream) => takenBy(stream) > rateOf(stream));
  const breaks = slower.flatMap((stream) => {
    const { needs, config } = stream;
    return needs === null || rateOf(stream) >= needs.leastFps ? [] : [{ stream: config.id, rules: [...needs.rules] }];
  });
  const hasFree = slower.some(({ needs }) => needs === null);
  const hasRuled = slower.some(({ needs }) => needs !== null);
  const [lowest, most] = hasFree ? [settable(rate), possible.rate] : [settable(ruledRate), possible.ruledRate];
  return {
    kind: 'rate',
    rate: lowest,
    ruledRate: hasRuled && settable(ruledRate) !== lowest ? settable(ruledRate) : null,
    streams: streams.length,
    fps: sum(streams, (stream) =>
      Math.min(rateOf(stream), stream.needs === null ? possible.rate : possible.ruledRate, takenBy(stream)),
    ),
    streamFps: Math.min(lowest, most),
    changes: changesOf(slower.map((stream) => toRate(stream, rateOf(stream)))),
    breaks,
  };
}

/**
 * Rates of the streams without rules that follow objects, and of those with some, at which all need `capacity` model inputs per second. All get the same as long as that is
 * enough for the rules; then those without give first, down to the least rate.
 */
function ratesWithin(
  streams: readonly StreamLoad[],
  capacity: number,
): { readonly rate: number; readonly ruledRate: number } {
  const equal = rateWithin(streams, capacity);
  const [free, ruled] = [streams.filter(({ needs }) => needs === null), streams.filter(({ needs }) => needs !== null)];
  const good = Math.max(0, ...ruled.map(({ needs }) => needs!.goodFps));
  if (free.length === 0 || ruled.length === 0 || equal >= good) return { rate: equal, ruledRate: equal };
  const kept = sum(ruled, (stream) => Math.min(takenBy(stream), good) * inputsPerFrame(stream));
  const least = sum(free, (stream) => Math.min(takenBy(stream), LEAST_FPS) * inputsPerFrame(stream));
  if (capacity - kept >= least) return { rate: rateWithin(free, capacity - kept), ruledRate: good };
  return { rate: LEAST_FPS, ruledRate: rateWithin(ruled, Math.max(0, capacity - least)) };
}

/** @param rate - of each stream that takes as much or more. */
function outcome(streams: readonly StreamLoad[], rate: number): Effect {
  return { fps: sum(streams, (stream) => Math.min(rate, takenBy(stream))), streamFps: rate };
}

function decodeRemedies(load: HostLoad): RemedyFacts[] {
  const { streams } = load;
  const doneFps = sum(streams, ({ fps }) => fps.published);
  const remedies: RemedyFacts[] = [];
  for (const frames of ['reference', 'key'] as const) {
    const less = streams.filter(
      (stream) => DECODE_TIME[stream.config.decode] > DECODE_TIME[frames] && !stream.hasKeyFramesOnly,
    );
    if (less.length === 0) continue;
    const { fps, streamFps } = decodingLess(load, frames);
    if (fps !== null && fps < WORTHWHILE * doneFps) continue;
    remedies.push({
      kind: 'decode',
      frames,
      timeShare: sum(less, (stream) => decodeTime(stream, frames)) / less.length,
      fps,
      streamFps,
      changes: changesOf(less.map(({ config: { id, decode } }) => [id, { decode: frames }, { decode }] as const)),
    });
  }
  return remedies;
}

/** Decoding takes its part of the cores first: it does not wait for what comes behind it. The rest is for the other work of each frame. */
function decodingLess(
  { streams, busyRatio, cores, cpuCores, inferred, inferCores }: HostLoad,
  frames: 'reference' | 'key',
): Effect {
  const isKey = ({ config }: StreamLoad): boolean => frames === 'key' || config.decode === 'key';
  if (streams.some((stream) => isKey(stream) && stream.keyFps === null)) return { fps: null, streamFps: null };
  const now = sum(streams, ({ config }) => DECODE_TIME[config.decode]);
  const after = sum(streams, (stream) => Math.min(DECODE_TIME[stream.config.decode], decodeTime(stream, frames)));
  const decoding = busyRatio.decode * cores;
  const needed = ((decoding / Math.max(0.01, enteredRatio(streams))) * after) / now;
  // Media time that is decoded per time.
  const speed = Math.min(1, cpuCores / needed);
  const published = sum(streams, ({ fps }) => fps.published);
  const inputs = inputsOf(streams);
  // Frames that were inferred and came too late have cost as much as those that are published.
  const done = Math.max(LEAST_FPS, published * Math.max(1, inputs === 0 ? 1 : inferred / inputs));
  const perFrame = CORES_PER_FPS + (inferCores ?? Math.max(0, cpuCores - decoding)) / done;
  // All else goes with the packets that come, which stay as many.
  const rest = Math.max(0, cpuCores - decoding - perFrame * done);
  const possible = Math.max(published, (cpuCores - needed - rest) / perFrame);
  const wanted = streams.map((stream) =>
    Math.min(demandOf(stream), isKey(stream) ? stream.keyFps! : Number.POSITIVE_INFINITY),
  );
  const all = sum(wanted, (fps) => fps);
  const share = Math.min(speed, possible / all);
  return { fps: share * all, streamFps: share * Math.max(...wanted) };
}

/** Time of the decoder of a stream for these frames, relative to all frames. */
function decodeTime({ config, keyShare }: StreamLoad, frames: 'reference' | 'key'): number {
  if (frames !== 'key' || keyShare === null || config.decode !== 'all') return DECODE_TIME[frames];
  return Math.min(1, KEY_TIME.none + KEY_TIME.each * keyShare);
}

type Change = readonly [id: string, body: RemedyBody, undo: RemedyBody];

/** Settings that the schema wants to fit the rate change with it, and a frame may wait for one interval: all can come at once. */
function toRate({ config }: StreamLoad, rate: number): Change {
  const { id, maxFps = null, maxAgeMs, track } = config;
  const intervalMs = Math.ceil(1000 / rate);
  const changes: (readonly [to: RemedyBody, from: RemedyBody])[] = [[{ maxFps: rate }, { maxFps }]];
  if (maxAgeMs < intervalMs) changes.push([{ maxAgeMs: intervalMs }, { maxAgeMs }]);
  if (typeof track === 'object' && track.lostMs !== undefined && track.lostMs < intervalMs)
    changes.push([{ track: { lostMs: intervalMs } }, { track: { lostMs: track.lostMs } }]);
  const [body, undo] = [0, 1].map((side) => Object.assign({}, ...changes.map((change) => change[side])) as RemedyBody);
  return [id, body!, undo!];
}

/** Streams with the same change share an entry. */
export function changesOf(changes: readonly Change[]): RemedyChange[] {
  const groups = new Map<string, RemedyChange & { readonly streams: string[] }>();
  for (const [id, body, undo] of changes) {
    const key = JSON.stringify([body, undo]);
    const group = groups.get(key) ?? { streams: [], body, undo };
    groups.set(key, group);
    group.streams.push(id);
  }
  return [...groups.values()];
}

/** The rate per stream at which all together need `capacity` model inputs per second: those that ask for less keep theirs. */
function rateWithin(streams: readonly StreamLoad[], capacity: number): number {
  const sorted = streams.toSorted((a, b) => takenBy(a) - takenBy(b));
  let left = capacity;
  let cost = sum(sorted, inputsPerFrame);
  for (const stream of sorted) {
    const rate = left / cost;
    if (takenBy(stream) > rate) return rate;
    left -= takenBy(stream) * inputsPerFrame(stream);
    cost -= inputsPerFrame(stream);
  }
  return takenBy(sorted.at(-1)!);
}

/** Model inputs per second that are inferred for the published frames of streams. */
export function inputsOf(streams: readonly StreamLoad[]): number {
  return sum(streams, (stream) => stream.fps.published * inputsPerFrame(stream));
}

/** Model inputs that a published frame of a stream costs: fewer if some are not inferred. */
function inputsPerFrame({ fps, views }: Pick<StreamLoad, 'fps' | 'views'>): number {
  const share = fps.published === 0 ? 1 : Math.min(1, Math.max(0.01, fps.inferred / fps.published));
  return share * views;
}

function downToTwoDigits(value: number): number {
  const step = 10 ** (Math.floor(Math.log10(value)) - 1);
  // The division of decimal steps is not exact.
  return Number((Math.floor(value / step + 1e-9) * step).toPrecision(2));
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
