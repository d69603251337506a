import { isDeepStrictEqual } from 'node:util';
import type { LineCrossing, PublishedFrame } from '../../base/core/frame.ts';
import { groundPlane } from '../../base/geometry/ground-plane.ts';
import { MediaTimeline } from '../../frame/track/media-timeline.ts';
import { TrackRate } from '../../frame/track/track-rate.ts';
import type { RuleConfig } from '../../settings/config/event-rules.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { EventFigures } from '../../wire/protocol/report.ts';
import type { BlindBefore, EventEnd, RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { Scene, Trouble } from './rule-kind.ts';
import { RuleRun, type StreamFacts } from './rule-run.ts';
import { type SceneFrame, SceneObjects, type SceneTime, type SceneZone, timeOf } from './scene-objects.ts';

/** The settings that rules depend on. */
export type EventSettings = Pick<StreamConfig, 'events' | 'zones' | 'track'>;

/** The parts of a result that rules see; `detect` and recordings have no run and no clock. */
export type WatchedFrame = Pick<
  PublishedFrame,
  'run' | 'frame' | 'width' | 'height' | 'detections' | 'fence' | 'captureClock' | 'capturedAtMs'
> & { readonly ptsUs: number; readonly crossings?: readonly LineCrossing[] };

/** What became of the conditions of one rule. */
export interface RuleFigures extends EventFigures {
  readonly rule: string;
}

interface StreamEventsOptions {
  readonly stream: string;
  readonly settings: EventSettings;
  readonly emit: (event: RuleEvent) => void;
  /** Which recording it reads now, see `recordingDigest`. */
  readonly recordingOf?: () => string | undefined;
  /** Wall clock in milliseconds of the first frame of a recording, whose results have none. */
  readonly startMs?: number | undefined;
  /** Called once for each rule that cannot work as it is. */
  readonly onProblem?: (text: string) => void;
  /** How long its stream was not watched in the minute before an event; null if it always was. */
  readonly blindBefore?: () => BlindBefore | null;
}

/** A longer step back of media time begins something new: a loop, a connection that counts from zero. */
const BREAK_MS = 1000;
/** A condition that does not hold for this long is over, and at least for so many frames. */
const RELEASE_US = 1_000_000;
const RELEASE_FRAMES = 2.5;
/** Before the rate of a stream is known. */
const LONGEST_FRAME_US = 60_000_000;
/**
 * An object that is unseen for this long is gone. Longer than the tracker looks for it: one that stands still may score too low to be
 * reported for seconds, while its weak boxes keep its track.
 */
const GONE_US = 5_000_000;
/** Without a result for this long, nobody knows what objects of a live stream do. */
const BLIND_US = 10_000_000;

/** The rules of one stream. Frames come in order; time is media time, so that a recording gives the same events at any speed. */
export class StreamEvents {
  readonly stream: string;
  readonly #options: StreamEventsOptions;
  #settings: EventSettings;
  #zones: ReadonlyMap<string, SceneZone>;
  #runs: readonly RuleRun[];
  readonly #objects = new SceneObjects();
  readonly #timeline = new MediaTimeline(BREAK_MS);
  readonly #rate = new TrackRate();
  #signs: readonly Trouble[] = [];
  #earlySigns: string[] = [];
  #newest: SceneFrame | null = null;
  /** When it came, on the monotonic clock; null for recordings. */
  #newestMs: number | null = null;
  /** Longest time between two frames so far. */
  #longestUs = 0;
  /** How often media time began anew: a file that loops may count from zero each time. */
  #breaks = 0;
  /** Of the first frame. */
  #firstPtsUs: number | null = null;
  /** Of rules that are gone. */
  readonly #before = { raised: 0, ended: 0, suppressed: { times: 0, cooldown: 0, when: 0 } };

  constructor(options: StreamEventsOptions) {
    this.stream = options.stream;
    this.#options = options;
    this.#settings = options.settings;
    this.#zones = zonesOf(options.settings);
    this.#runs = options.settings.events.map((rule) => this.#newRun(rule));
  }

  /** Takes new settings: rules that stay the same go on, events of others end. @param nowMs - milliseconds since 1970. */
  change(next: EventSettings, nowMs: number): void {
    if (next === this.#settings) return;
    const { events, zones, track } = this.#settings;
    this.#settings = next;
    if (isDeepStrictEqual([events, zones, track], [next.events, next.zones, next.track])) return;
    this.#zones = zonesOf(next);
    const changed = zones.filter((zone) => !next.zones.some((other) => isDeepStrictEqual(zone, other)));
    this.#objects.leaveZones(changed.map(({ id }) => id));
    const kept = (rule: RuleConfig): RuleRun | undefined =>
      this.#runs.find((run) => isDeepStrictEqual(run.rule, rule) && isSameZone(rule, zones, next.zones));
    const runs = next.events.map((rule) => kept(rule) ?? this.#newRun(rule));
    for (const run of this.#runs) if (!runs.includes(run)) this.#retire(run, nowMs);
    this.#runs = runs;
  }

  /** What became of the conditions of all rules so far. */
  get figures(): EventFigures {
    const sum = { ...this.#before, suppressed: { ...this.#before.suppressed } };
    for (const { figures } of this.#runs) add(sum, figures);
    return sum;
  }

  /** What became of the conditions of each rule that there is now. */
  get ruleFigures(): RuleFigures[] {
    return this.#runs.map(({ rule, figures }) => ({ rule: rule.id, ...figures }));
  }

  /** Whether an event of a rule is open. */
  isOpen(rule: string): boolean {
    return this.#runs.some((run) => run.rule.id === rule && run.isOpen);
  }

  /** Takes the next result. @param nowMs - on the monotonic clock, for a live stream. */
  onFrame(result: WatchedFrame, nowMs?: number): void {
    const { isBroken, elapsedUs } = this.#timeline.advance(result.ptsUs);
    this.#rate.onFrame(result.ptsUs);
    this.#newestMs = nowMs ?? null;
    const frame = this.#frameOf(result);
    if (isBroken) this.#breaks += 1;
    if (isBroken) this.#endSeen('discontinuity', timeOf(frame));
    else if (elapsedUs > this.#blindUs) this.#endSeen('blind', timeOf(frame));
    else if (elapsedUs > this.#goneUs) for (const run of this.#runs) run.forgetUnmet();
    this.#longestUs = Math.max(this.#longestUs, elapsedUs);
    this.#newest = frame;
    // Signs that were there before the first frame.
    if (this.#earlySigns.length > 0) this.onPicture(this.#earlySigns.splice(0));
    this.#objects.update(frame, this.#zones, this.#goneUs);
    const scene = this.#scene(timeOf(frame), frame, result.crossings ?? []);
    const facts = (): StreamFacts => this.#facts(result);
    const releaseUs = this.#releaseUs;
    for (const run of this.#runs) if (!isOnWall(run)) run.step(scene, releaseUs, facts);
  }

  /** Takes what is wrong with the picture from the next frame on; null if nothing is. */
  onPicture(signs: readonly string[]): void {
    if (this.#newest === null) {
      this.#earlySigns = [...signs];
      return;
    }
    const since = timeOf(this.#newest);
    this.#signs = signs.map((sign) => this.#signs.find((known) => known.sign === sign) ?? { sign, since });
  }

  /**
   * Takes what is wrong with a live stream: no frame may come. Call it about once a second. Times are on the monotonic clock, since the
   * clock of the wall may be set.
   *
   * @param wallMs - now, in milliseconds since 1970.
   */
  onTick(
    troubles: readonly { readonly sign: string; readonly sinceMs: number }[],
    nowMs: number,
    wallMs: number,
  ): void {
    const timeAt = (ms: number): SceneTime => ({ ...wallTime(wallMs - (nowMs - ms)), us: ms * 1000 });
    const scene: Scene = {
      ...this.#scene(timeAt(nowMs), null, []),
      troubles: troubles.map(({ sign, sinceMs }) => ({ sign, since: timeAt(sinceMs) })),
    };
    for (const run of this.#runs) if (isOnWall(run)) run.step(scene, 0, () => this.#facts(null));
    // Not the time of the frame: the clock of a camera may be wrong.
    const newestMs = this.#newestMs;
    if (newestMs === null || nowMs - newestMs < this.#blindUs / 1000) return;
    const newest = timeOf(this.#newest!);
    this.#endSeen('blind', { ...newest, moment: { ...newest.moment, ...wallTime(wallMs).moment } });
  }

  /** Ends all events: the stream goes on without its rules, or not at all. @param nowMs - milliseconds since 1970. */
  end(reason: EventEnd, nowMs: number): void {
    for (const run of this.#runs) run.end(reason, this.#nowOf(run, nowMs));
    this.#objects.clear();
  }

  /** Ends the events of rules about what is seen. Pictures are looked at also while the detector gives no results. */
  #endSeen(reason: 'discontinuity' | 'blind', now: SceneTime): void {
    for (const run of this.#runs)
      if (!isOnWall(run) && (reason !== 'blind' || run.rule.kind !== 'picture')) run.end(reason, now);
    this.#objects.clear();
  }

  #newRun(rule: RuleConfig): RuleRun {
    const { emit, onProblem = () => {} } = this.#options;
    return new RuleRun(rule, emit, onProblem);
  }

  #retire(run: RuleRun, nowMs: number): void {
    run.end('changed', this.#nowOf(run, nowMs));
    add(this.#before, run.figures);
  }

  #nowOf(run: RuleRun, nowMs: number): SceneTime {
    return isOnWall(run) || this.#newest === null ? wallTime(nowMs) : timeOf(this.#newest);
  }

  #scene(now: SceneTime, frame: SceneFrame | null, crossings: readonly LineCrossing[]): Scene {
    return { now, frame, objects: this.#objects, zones: this.#zones, crossings, troubles: this.#signs };
  }

  #frameOf({ frame, ptsUs, width, height, detections, capturedAtMs }: WatchedFrame): SceneFrame {
    const { startMs } = this.#options;
    this.#firstPtsUs ??= ptsUs;
    const wallMs = capturedAtMs ?? (startMs === undefined ? undefined : startMs + (ptsUs - this.#firstPtsUs) / 1000);
    const moment = { ptsUs, ...(wallMs === undefined ? {} : { at: new Date(wallMs).toISOString() }) };
    return { frame, width, height, detections, nowUs: this.#timeline.nowUs, moment };
  }

  #facts(result: WatchedFrame | null): StreamFacts {
    const { recordingOf, blindBefore } = this.#options;
    const blind = blindBefore?.() ?? null;
    const recording = recordingOf?.();
    return {
      stream: this.stream,
      ...(result?.run === undefined ? {} : { run: result.run }),
      ...(result?.captureClock === undefined ? {} : { captureClock: result.captureClock }),
      ...(result?.fence === undefined ? {} : { fence: result.fence }),
      ...(blind === null ? {} : { blind }),
      ...(recording === undefined || result === null ? {} : { place: [recording, this.#breaks, result.ptsUs] }),
    };
  }

  /** The time of some frames, for a stream that is slow. */
  get #framesUs(): number {
    const { fps } = this.#rate;
    if (fps === null) return Math.min(LONGEST_FRAME_US, RELEASE_FRAMES * this.#longestUs);
    return Number.isFinite(fps) ? (RELEASE_FRAMES / fps) * 1e6 : 0;
  }

  get #blindUs(): number {
    return Math.max(BLIND_US, this.#goneUs);
  }

  get #releaseUs(): number {
    return Math.max(RELEASE_US, this.#framesUs);
  }

  /** The tracker may give an object its identity back within this time. */
  get #goneUs(): number {
    const { track } = this.#settings;
    const lostMs = (typeof track === 'object' ? track.lostMs : undefined) ?? 0;
    return Math.max(GONE_US, lostMs * 1000, this.#framesUs);
  }
}

function add(
  sum: { raised: number; ended: number; suppressed: Record<keyof EventFigures['suppressed'], number> },
  { raised, ended, suppressed }: EventFigures,
): void {
  sum.raised += raised;
  sum.ended += ended;
  for (const [reason, count] of Object.entries(suppressed))
    sum.suppressed[reason as keyof EventFigures['suppressed']] += count;
}

/** Rules about the stream itself go by the clock of the wall: no frame may come. */
function isOnWall({ rule }: RuleRun): boolean {
  return rule.kind === 'stream';
}

/** Returns the zones that rules name. */
function zonesOf({ events, zones }: EventSettings): Map<string, SceneZone> {
  const used = new Set(events.map((rule) => ('zone' in rule ? rule.zone : undefined)));
  const usedZones = zones.filter(({ id }) => used.has(id));
  return new Map(
    usedZones.map(({ id, polygon, anchor, labels, minScore = 0, minSize = 0, scale }) => [
      id,
      {
        id,
        polygon,
        anchor,
        minScore,
        minSize,
        labels: labels === undefined ? null : new Set(labels),
        ground: scale === undefined ? null : groundPlane(scale.corners, scale.metres),
      },
    ]),
  );
}

function isSameZone(rule: RuleConfig, before: EventSettings['zones'], next: EventSettings['zones']): boolean {
  if (!('zone' in rule) || rule.zone === undefined) return true;
  const find = (zones: EventSettings['zones']) => zones.find(({ id }) => id === rule.zone);
  return isDeepStrictEqual(find(before), find(next));
}

/** A moment without a frame. */
function wallTime(timeMs: number): SceneTime {
  return { us: timeMs * 1000, frame: timeMs, moment: { at: new Date(timeMs).toISOString() } };
}
