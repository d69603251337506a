import type { EventKind } from '../../wire/protocol/feed.ts';
import type { OverloadReport } from '../../wire/protocol/overload.ts';
import type { BusyStage, HostReport } from '../../wire/protocol/report.ts';
import {
  inputsOf,
  judgeOverload,
  type LoadedStream,
  type OtherModel,
  type StreamLoad,
} from '../telemetry/judge-overload.ts';
import { overloadReport } from '../telemetry/overload-text.ts';
import { LoweredSettings } from './lowered-settings.ts';
import type { EventDetails, TargetEvent } from './stream/stream-port.ts';

/** An overload ends once nothing was short for so long; later while most streams still miss their targets, whatever the reason seems to be. */
const OVER_MS = { met: 10_000, missed: 60_000 };
const SEEN_MS = 600_000;
/** Targets are missed one after the other: so long the first ones may wait for the overload that they are the beginning of. */
const HELD_MS = 3_000;
/** Weight of the newest report: rates of single seconds scatter. */
const NEWEST_WEIGHT = 0.2;
/** The same where the host can do less than it seemed. */
const LESS_WEIGHT = 0.5;
const LEAST_BUSY = 0.5;
/** The models at hand are asked for again after so long: what runs may be another one. */
const MODELS_MS = 30_000;

type EmitEvent = (kind: EventKind, stream: string | undefined, message: string, details: EventDetails) => void;
type Usage = Pick<HostReport, 'busyRatio' | 'cpuCores' | 'othersCores' | 'cores'>;

/** Model inputs that were inferred, and the processor time of the threads and processes that did it. */
interface Inferred {
  readonly inputs: number;
  /** Null if unknown. */
  readonly cpuMs: number | null;
}

/**
 * Says once that the host is asked for more than it can do, from when on, what helps, and when it is over. Until then it keeps back
 * the events of the streams that miss a target for that reason.
 */
export class OverloadWatch {
  readonly #emit: EmitEvent;
  readonly #modelsAtHand: () => Promise<readonly OtherModel[]>;
  readonly #lowered = new LoweredSettings();
  #now: OverloadReport | null = null;
  #shortMs = 0;
  #seenUntilMs: number | null = null;
  #beganMs = 0;
  /** Model inputs per second that the host can infer for live streams; null before the first measurement. */
  #capacity: number | null = null;
  /** The same for all that is inferred: for jobs and comparisons as well. */
  #total: number | null = null;
  /** That of the newest overload: what the host does while decoding is what is short. */
  #seen: number | null = null;
  /** Model inputs that are inferred per second, for all; null before the second report. */
  #done: number | null = null;
  /** Cores that inference uses; null before the second report. */
  #inferCores: number | null = null;
  /** Until the last report. */
  #inferred: (Inferred & { readonly atMs: number }) | null = null;
  #models: readonly OtherModel[] = [];
  #modelsAskedMs = Number.NEGATIVE_INFINITY;
  #usage: Usage | null = null;
  /** Events of targets since the last report. */
  #news: (readonly [id: string, event: TargetEvent])[] = [];
  /** Missed targets that may be the beginning of an overload, by stream and target. */
  readonly #held = new Map<string, readonly [id: string, event: TargetEvent, sinceMs: number]>();
  /** Missed targets of an overload, which nobody was told of. */
  readonly #keptBack = new Map<string, readonly [id: string, event: TargetEvent]>();

  /** @param modelsAtHand - other detectors whose time on this machine is known; asked at the beginning of an overload. */
  constructor(emit: EmitEvent, modelsAtHand: () => Promise<readonly OtherModel[]>) {
    this.#emit = emit;
    this.#modelsAtHand = modelsAtHand;
  }

  /**
   * Model inputs per second that the host can infer, for live streams, jobs and comparisons together, as measured in an overload, and for
   * ten minutes after it: with the same work as before, it would come again. Null if there was none.
   */
  get capacitySeen(): number | null {
    return this.#seenUntilMs === null ? null : this.#seen;
  }

  onTarget(id: string, event: TargetEvent): void {
    this.#news.push([id, event]);
  }

  /**
   * Called once a second, once all streams have made their reports.
   *
   * @param nowMs - monotonic.
   * @param inferred - since the start, for whomever.
   */
  update(
    all: Iterable<LoadedStream>,
    host: Usage,
    nowMs: number,
    inferred: Inferred,
  ): Pick<HostReport, 'overload' | 'lowered'> {
    const streams = [...all];
    const running = streams.map((stream) => stream.load(nowMs)).filter((load) => load !== null);
    const usage = this.#smoothed(host);
    this.#count(inferred, nowMs);
    this.#measure(running, host);
    const inputs = { capacity: this.#capacity ?? 0, inferred: this.#done ?? 0, inferCores: this.#inferCores };
    const facts = judgeOverload({ ...usage, ...inputs, streams: running, models: this.#models });
    const judged = facts === null ? null : overloadReport(facts);
    if (judged !== null) {
      this.#shortMs = nowMs;
      this.#askForModels(nowMs);
    }
    if (this.#now === null) {
      if (judged !== null && running.some(({ isMissing }) => isMissing))
        this.#begin({ ...judged, sinceMs: Date.now() }, running, nowMs);
    } else if (nowMs - this.#shortMs >= overMs(running)) this.#end(running, nowMs);
    else if (judged !== null) this.#now = { ...judged, sinceMs: this.#now.sinceMs };
    if (this.#now !== null) {
      this.#seenUntilMs = nowMs + SEEN_MS;
      this.#seen = this.#now.stage === 'decode' ? this.#done : this.#total;
    } else if (this.#seenUntilMs !== null && nowMs >= this.#seenUntilMs) this.#seenUntilMs = null;
    this.#settle(nowMs);
    const configs = streams.map(({ config }) => config);
    const lowered = this.#lowered.update(configs, this.#now !== null);
    return this.#now === null ? lowered : { overload: this.#now, ...lowered };
  }

  /** Emits the events of targets; those of an overload are kept back, for it has an event of its own. */
  #settle(nowMs: number): void {
    for (const [id, event] of this.#news.splice(0)) {
      const key = JSON.stringify([id, event.details.what]);
      const wasTold = !this.#held.delete(key) && !this.#keptBack.delete(key);
      if (event.kind === 'target-missed' && event.isOfHost) this.#held.set(key, [id, event, nowMs]);
      else if (wasTold || event.kind === 'target-missed') this.#tell(id, event);
    }
    for (const [key, [id, event, sinceMs]] of this.#held) {
      if (this.#now === null && nowMs - sinceMs < HELD_MS) continue;
      this.#held.delete(key);
      if (this.#now === null) this.#tell(id, event);
      else this.#keptBack.set(key, [id, event]);
    }
  }

  #smoothed(host: Usage): Usage {
    const last = this.#usage;
    const busy = Object.entries(host.busyRatio).map(([stage, ratio]) => [
      stage,
      follow(last?.busyRatio[stage as BusyStage], ratio),
    ]);
    this.#usage = {
      cores: host.cores,
      cpuCores: follow(last?.cpuCores, host.cpuCores),
      othersCores: follow(last?.othersCores, host.othersCores ?? 0),
      busyRatio: Object.fromEntries(busy) as Usage['busyRatio'],
    };
    return this.#usage;
  }

  #count({ inputs, cpuMs }: Inferred, atMs: number): void {
    const last = this.#inferred;
    this.#inferred = { inputs, cpuMs, atMs };
    if (last === null || atMs <= last.atMs) return;
    this.#done = follow(this.#done, ((inputs - last.inputs) * 1000) / (atMs - last.atMs));
    // The time of a thread that was replaced is gone.
    if (cpuMs !== null && last.cpuMs !== null && cpuMs >= last.cpuMs)
      this.#inferCores = follow(this.#inferCores, (cpuMs - last.cpuMs) / (atMs - last.atMs));
  }

  /** What is inferred, and would be in the rest of the time. Of a detector that mostly waits, that says nothing. */
  #measure(streams: readonly StreamLoad[], { busyRatio }: Usage): void {
    const busy = Math.max(busyRatio.infer, busyRatio.preprocess, busyRatio.main);
    if (busy < LEAST_BUSY) return;
    const capacity = inputsOf(streams) / busy;
    // A rate that is too low helps at once; one that is too high does not.
    // Before an overload the mean may be that of the warm-up: its first sentence would advise less than what is done.
    const risen = this.#now === null ? 1 : NEWEST_WEIGHT;
    const weight = capacity < (this.#capacity ?? 0) ? LESS_WEIGHT : risen;
    this.#capacity = follow(this.#capacity, capacity, weight);
    if (this.#done !== null) this.#total = follow(this.#total, this.#done / busy);
  }

  #begin(report: OverloadReport, streams: readonly StreamLoad[], nowMs: number): void {
    this.#now = report;
    this.#beganMs = nowMs;
    const { stage, askedFps, doneFps, text } = report;
    const behind = streams.filter(({ isBehind }) => isBehind).length;
    this.#emit('overload-began', undefined, text, { stage, askedFps, doneFps, streams: behind });
  }

  #askForModels(nowMs: number): void {
    if (nowMs - this.#modelsAskedMs < MODELS_MS) return;
    this.#modelsAskedMs = nowMs;
    const keep = (models: readonly OtherModel[]): void => {
      this.#models = models;
    };
    this.#modelsAtHand().then(keep, () => keep([]));
  }

  #end(streams: readonly StreamLoad[], nowMs: number): void {
    this.#now = null;
    const seconds = Math.round((nowMs - this.#beganMs) / 1000);
    this.#emit('overload-ended', undefined, `this machine does what is asked of it again, after ${seconds} s`, {
      seconds,
    });
    const running = new Map(streams.map((stream) => [stream.config.id, stream]));
    for (const [key, [id, event]] of this.#keptBack) {
      const stream = running.get(id);
      // That it meets its target again is not told either, so it stays until then.
      if (stream?.isMissing === false && !stream.isBehind) continue;
      this.#keptBack.delete(key);
      if (stream !== undefined) this.#tell(id, event);
    }
  }

  #tell(id: string, { kind, message, details }: TargetEvent): void {
    this.#emit(kind, id, message, details);
  }
}

function overMs(running: readonly StreamLoad[]): number {
  const missing = running.filter(({ isMissing }) => isMissing).length;
  return missing > 0 && 2 * missing >= running.length ? OVER_MS.missed : OVER_MS.met;
}

/** A mean that follows the newest value. */
function follow(before: number | null | undefined, now: number, weight = NEWEST_WEIGHT): number {
  return before == null ? now : before + weight * (now - before);
}
