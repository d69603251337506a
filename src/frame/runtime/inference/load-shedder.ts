import type { Clock } from '../../../base/core/clock.ts';
import { FLOOR_RATIO } from '../../batch/micro-batcher.ts';
import type { Intake, IntakeCounts } from '../stream/intake.ts';

/** A stream of the model instance. */
export interface SheddableStream {
  readonly id: string;
  readonly priority: number;
  readonly weight: number;
  /** Model inputs of a frame. */
  readonly views: number;
  readonly intake: Intake;
}

/** What the load shedder needs from the model instance whose streams it controls. */
export interface ShedPort {
  /** Live streams whose every frame is to be inferred. */
  streams(): Iterable<SheddableStream>;
  /** Total time in which a thread was free and no frame waited. */
  starvedMs(nowMs: number): number;
  /**
   * Called for each stream after each decision.
   *
   * @param sharers - streams that are shed together, so that fewer of its frames need to wait; 0 if as many as set may wait.
   */
  onShedding(id: string, sharers: number): void;
}

const TICK_MS = 250;
/**
 * Surplus: more frames are kept than were inferred, by this share. Without it the detector would wait for frames, and nothing would
 * show that it could infer more. The surplus grows if the detector waits nevertheless, because arrivals or its own speed vary, and
 * shrinks again by this share of the difference a tick, in about 20 s.
 */
const SURPLUS = { least: 1.06, most: 2, growth: 0.5, mostStarved: 0.2, shrinkage: 0.0125 } as const;
/** The level changes if the share of wasted frames is this far below or above that of the surplus. */
const WASTED = { below: 0.035, above: 0.065 } as const;
/** Shedding starts when this share was wasted for some time, and so many frames a second that it costs something. */
const START = { wasted: 0.2, wastedFps: 8, afterMs: 1000 } as const;
/** A detector that waits for frames longer than this share of the time could infer more. */
const MOST_STARVED = 0.02;
/** A stream that wastes a smaller share than this gets what it needs. */
const IN_NEED = 0.05;
/**
 * Smallest and largest factor a tick by which the level rises: from a fourth of the load to all of it in five ticks. `overLower`: while
 * streams of a lower priority still get something, the level may rise to their share although the detector never waits.
 */
const RISE = { least: 1.04, overLower: 1.5, most: 2 } as const;
/** Rates are taken over about so many kept frames, so that one more or less does not matter. */
const SAMPLE_FRAMES = 40;
const MIN_SPAN_MS = 1000;
const MAX_SPAN_MS = 4000;
/** A stream keeps at least this many frames a second, or it could not show that it could have more. */
const LEAST_FPS = 2;
/** Correction a tick of the difference from a fair share, and the bounds of all corrections together. */
const TRIM = { gain: 0.1, least: 0.8, most: 1.25 } as const;
/** Shedding less than this is not worth it, and smaller changes are not made. */
const LEAST_SHED = 0.08;
const MIN_CHANGE = 0.03;
/** Ticks without a wasted frame after which nothing is watched any more. */
const QUIET_TICKS = 8;
const NONE: IntakeCounts = { entered: 0, shed: 0, wasted: 0, inferred: 0 };

/** What happened to a stream's frames lately; older time counts less. */
interface Track {
  last: IntakeCounts;
  recent: { entered: number; shed: number; wasted: number; inferred: number };
  spanMs: number;
  /** Whether a frame was wasted in the last tick. */
  isWasting: boolean;
  /** Corrects the stream's share of the level, so that it gets what the others get. */
  trim: number;
}

interface MeasuredStream extends SheddableStream {
  readonly track: Track;
  readonly enteredFps: number;
  readonly keptFps: number;
  readonly wastedFps: number;
  readonly inferredFps: number;
}

/** Streams of one priority. */
interface Group {
  /** Model inputs a second for a weight of 1; null while nothing is shed. */
  level: number | null;
  /** Some frames are wasted although the detector waits at other times. */
  isBursty: boolean;
  /** See `SURPLUS`. */
  surplus: number;
  /** Time for which frames have been wasted. */
  wastingMs: number;
  spanMs: number;
}

/**
 * Decides which share of a live stream's frames is dropped before it costs anything, while its detector is overloaded.
 *
 * Streams of one priority have one level, the rate of a stream of weight 1, so their shares are equal whatever their cameras
 * send. The level follows what was really inferred, plus a surplus. It falls to that rate if much is wasted, and rises if little is wasted
 * or the detector waits for frames: fast, if it waits long, because the load has fallen. Between these bounds it stays, so
 * that it does not oscillate. Nothing runs, and no stream is touched, until the queue of one overflows.
 */
export class LoadShedder {
  readonly #clock: Clock;
  readonly #port: ShedPort;
  readonly #tracks = new Map<string, Track>();
  readonly #groups = new Map<number, Group>();
  #cancel: (() => void) | null = null;
  #lastMs = 0;
  #lastStarvedMs = 0;
  #starved = 0;
  #quietTicks = 0;

  constructor(clock: Clock, port: ShedPort) {
    this.#clock = clock;
    this.#port = port;
  }

  /** Call it when a frame was dropped because the detector was busy. */
  onWasted(): void {
    this.#quietTicks = 0;
    if (this.#cancel !== null) return;
    this.#lastMs = this.#clock.now();
    this.#lastStarvedMs = this.#port.starvedMs(this.#lastMs);
    this.#starved = 0;
    for (const { id, intake } of this.#port.streams()) this.#tracks.set(id, newTrack(intake.counts));
    this.#wait();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #wait(): void {
    this.#cancel = this.#clock.setTimer(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    const now = this.#clock.now();
    const spanMs = Math.max(1, now - this.#lastMs);
    const starvedMs = this.#port.starvedMs(now);
    // Half of the last tick and half of those before.
    this.#starved = (this.#starved + Math.min(1, (starvedMs - this.#lastStarvedMs) / spanMs)) / 2;
    this.#lastMs = now;
    this.#lastStarvedMs = starvedMs;
    const groups = this.#measure(spanMs);
    for (const [priority, measured] of groups) {
      const lower = [...groups].filter(([other]) => other < priority).flatMap(([, each]) => each);
      const lowerFps = sum(lower, inputsPerSecond);
      // Their floor is theirs.
      const floorFps = FLOOR_RATIO * (lowerFps + sum(measured, inputsPerSecond));
      this.#control(this.#group(priority), measured, spanMs, Math.max(0, lowerFps - floorFps));
    }
    for (const priority of this.#groups.keys()) if (!groups.has(priority)) this.#groups.delete(priority);
    const isShedding = [...this.#groups.values()].some(({ level }) => level !== null);
    this.#quietTicks = isShedding ? 0 : this.#quietTicks + 1;
    if (this.#quietTicks < QUIET_TICKS) {
      this.#wait();
      return;
    }
    this.#cancel = null;
    this.#tracks.clear();
    this.#groups.clear();
  }

  #group(priority: number): Group {
    let group = this.#groups.get(priority);
    if (group === undefined) {
      group = { level: null, isBursty: false, surplus: SURPLUS.least, wastingMs: 0, spanMs: MIN_SPAN_MS };
      this.#groups.set(priority, group);
    }
    return group;
  }

  /** Updates the rates of all streams. @returns them by priority. */
  #measure(spanMs: number): Map<number, MeasuredStream[]> {
    const groups = new Map<number, MeasuredStream[]>();
    const gone = new Set(this.#tracks.keys());
    for (const stream of this.#port.streams()) {
      const { id, priority, intake } = stream;
      gone.delete(id);
      const track = this.#tracks.get(id) ?? newTrack(intake.counts);
      this.#tracks.set(id, track);
      follow(track, intake.counts, spanMs, Math.exp(-spanMs / this.#group(priority).spanMs));
      const { entered, shed, wasted, inferred } = track.recent;
      const perSecond = track.spanMs / 1000;
      const one: MeasuredStream = {
        id,
        priority,
        weight: stream.weight,
        views: stream.views,
        intake,
        track,
        enteredFps: entered / perSecond,
        keptFps: Math.max(0, entered - shed) / perSecond,
        wastedFps: wasted / perSecond,
        inferredFps: inferred / perSecond,
      };
      const measured = groups.get(priority) ?? [];
      groups.set(priority, measured);
      measured.push(one);
    }
    for (const id of gone) this.#tracks.delete(id);
    return groups;
  }

  /** @param lowerFps - model inputs a second of streams of lower priorities, above their floor. */
  #control(group: Group, measured: readonly MeasuredStream[], spanMs: number, lowerFps: number): void {
    const sharers = measured.filter(
      ({ intake, wastedFps, keptFps }) => intake.keepRatio < 1 || wastedFps > IN_NEED * keptFps,
    );
    const keptFps = sum(sharers, (one) => one.keptFps);
    if (keptFps > 0) group.spanMs = clamp((SAMPLE_FRAMES / keptFps) * 1000, MIN_SPAN_MS, MAX_SPAN_MS);
    const next = sharers.length === 0 ? null : this.#nextLevel(group, sharers, { keptFps, lowerFps }, spanMs);
    // From a lower level it could not rise in time.
    group.level = next === null ? null : Math.max(LEAST_FPS, next);
    const { level } = group;
    trim(measured.filter(({ intake }) => intake.keepRatio < 1));
    for (const { intake, ...one } of measured) intake.keepRatio = keepRatio(level, intake.keepRatio, one);
    const shed = measured.filter(({ intake }) => intake.keepRatio < 1);
    if (shed.length === 0) Object.assign(group, { level: null, isBursty: false, surplus: SURPLUS.least });
    const queueSharers = group.isBursty ? 0 : shed.length;
    for (const { id, intake } of measured) this.#port.onShedding(id, intake.keepRatio < 1 ? queueSharers : 0);
  }

  #nextLevel(
    group: Group,
    sharers: readonly MeasuredStream[],
    { keptFps, lowerFps }: { readonly keptFps: number; readonly lowerFps: number },
    spanMs: number,
  ): number | null {
    const { level } = group;
    const wastedFps = sum(sharers, (one) => one.wastedFps);
    const wasted = keptFps === 0 ? 0 : wastedFps / keptFps;
    const isStarved = this.#starved > MOST_STARVED;
    const isWasting = sharers.some(({ track }) => track.isWasting);
    const inferred = sum(sharers, inputsPerSecond) / sum(sharers, ({ weight }) => weight);
    if (level === null) {
      const isOverloaded = isWasting && !isStarved && wasted > START.wasted && wastedFps > START.wastedFps;
      group.wastingMs = isOverloaded ? group.wastingMs + spanMs : 0;
      if (group.wastingMs < START.afterMs) return null;
      group.wastingMs = 0;
      return inferred * group.surplus;
    }
    group.surplus = isStarved
      ? Math.min(SURPLUS.most, group.surplus * (1 + SURPLUS.growth * Math.min(this.#starved, SURPLUS.mostStarved)))
      : group.surplus + (SURPLUS.least - group.surplus) * SURPLUS.shrinkage;
    const ownWaste = 1 - 1 / group.surplus;
    const isWasteful = wasted > ownWaste + WASTED.above;
    if (isStarved && isWasteful && isWasting) {
      // Frames come in bursts: first, more of them may wait.
      group.isBursty = true;
      return level;
    }
    // Frames wasted before the others had a lower priority say nothing.
    if (lowerFps > LEAST_FPS && !isWasting) return level * RISE.overLower;
    if (isStarved) return level * clamp(1 + 1.5 * this.#starved, RISE.least, RISE.most);
    if (isWasteful && !isStarved)
      return Math.max(inferred * group.surplus, level * (1 - (wasted - ownWaste - WASTED.above)));
    return wasted < ownWaste - WASTED.below ? level * RISE.least : level;
  }
}

/**
 * Gives a stream more if it gets less than the others: the queues do not make up for a stream whose frames come at worse times.
 */
function trim(shed: readonly MeasuredStream[]): void {
  const fair = sum(shed, inputsPerSecond) / sum(shed, ({ weight }) => weight);
  for (const one of shed) {
    const own = inputsPerSecond(one) / one.weight;
    const { track } = one;
    if (own > 0) track.trim = clamp(track.trim * (1 + TRIM.gain * (fair / own - 1)), TRIM.least, TRIM.most);
  }
}

function inputsPerSecond({ inferredFps, views }: MeasuredStream): number {
  return inferredFps * views;
}

/** Returns the share of a stream's frames that the level allows it. */
function keepRatio(
  level: number | null,
  now: number,
  { enteredFps, weight, views, track }: Pick<MeasuredStream, 'enteredFps' | 'weight' | 'views' | 'track'>,
): number {
  if (level === null) return 1;
  if (enteredFps === 0) return now;
  const next = Math.min(1, Math.max((level * weight * track.trim) / views, LEAST_FPS) / enteredFps);
  if (next > 1 - LEAST_SHED) return 1;
  return Math.abs(next / now - 1) < MIN_CHANGE ? now : next;
}

function newTrack(last: IntakeCounts): Track {
  return { last, recent: { ...NONE }, spanMs: 0, isWasting: false, trim: 1 };
}

/** @param decay - weight of what was before, 0 to 1. */
function follow(track: Track, now: IntakeCounts, spanMs: number, decay: number): void {
  for (const key of ['entered', 'shed', 'wasted', 'inferred'] as const)
    track.recent[key] = track.recent[key] * decay + (now[key] - track.last[key]);
  track.isWasting = now.wasted > track.last.wasted;
  track.spanMs = track.spanMs * decay + spanMs;
  track.last = now;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
