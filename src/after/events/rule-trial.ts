import { LineCounter } from '../../frame/track/lines.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { EventFigures } from '../../wire/protocol/report.ts';
import type { EventMoment, RuleEvent } from '../../wire/protocol/rule-event.ts';
import { StreamEvents, type WatchedFrame } from './stream-events.ts';

/** One event from its beginning to its end, as people read it. */
export type WholeEvent = Omit<RuleEvent, 'seq' | 'phase'>;

/** Two events of two sets of rules are the same if they begin within this time of each other. */
const SAME_MS = 1000;

/** What changes if one set of rules takes the place of another. */
export interface RuleDifference {
  readonly gained: readonly WholeEvent[];
  readonly lost: readonly WholeEvent[];
  readonly kept: number;
}

type TrialSettings = Pick<StreamConfig, 'id' | 'events' | 'zones' | 'lines' | 'track' | 'labels' | 'scoreThreshold'>;

/** Tries the rules of a stream on recorded results, tracked, in order. */
export class RuleTrial {
  /** Every record, in order. */
  readonly records: RuleEvent[] = [];
  readonly #events: StreamEvents;
  /** Labels of all objects that were seen. */
  readonly labels = new Set<string>();
  readonly #lines: LineCounter;
  readonly #config: TrialSettings;

  /**
   * @param startMs - wall clock in milliseconds of the first frame; unknown if absent.
   * @param recording - which one it is, see `recordingDigest`; absent if nobody knows.
   */
  constructor(
    config: TrialSettings,
    startMs: number | undefined,
    onProblem: (text: string) => void,
    recording?: string,
  ) {
    this.#config = config;
    this.#lines = new LineCounter(config.lines);
    this.#events = new StreamEvents({
      stream: config.id,
      settings: config,
      startMs,
      recordingOf: () => recording,
      emit: (event) => this.records.push(event),
      onProblem,
    });
  }

  /** Takes the next result. What the stream would not report is left out: other labels, lower scores. */
  onFrame(result: WatchedFrame): void {
    const { labels, scoreThreshold = 0 } = this.#config;
    const detections = result.detections.filter(
      ({ label, score }) => score >= scoreThreshold && labels?.includes(label) !== false,
    );
    for (const { label } of detections) this.labels.add(label);
    const frame = { ...result, detections };
    this.#events.onFrame({ ...frame, crossings: this.#lines.update(frame) });
  }

  /** The recording is over. */
  end(): void {
    this.#events.end('source-ended', 0);
  }

  get figures(): EventFigures {
    return this.#events.figures;
  }

  /** All events, in the order in which they were raised. Call it after `end`. */
  get events(): WholeEvent[] {
    const last = new Map<string, RuleEvent>();
    for (const record of this.records) last.set(record.id, record);
    return [...last.values()].map(({ seq: _seq, phase: _phase, ...event }) => event);
  }
}

/**
 * Compares events of the same stream and time.
 *
 * @param isSame - whether two events are one; default: of the same object, for rules over the same results.
 */
export function differenceOf(
  before: readonly WholeEvent[],
  after: readonly WholeEvent[],
  isSame: (a: WholeEvent, b: WholeEvent) => boolean = isOfObject,
): RuleDifference {
  const left = new Set(before);
  const gained = after.filter((event) => {
    const same = [...left].find((other) => isSame(other, event));
    return same === undefined ? true : !left.delete(same);
  });
  return { gained, lost: [...left], kept: before.length - left.size };
}

function isOfObject(a: WholeEvent, b: WholeEvent): boolean {
  const apartMs = Math.abs((a.began.ptsUs ?? 0) - (b.began.ptsUs ?? 0)) / 1000;
  return a.rule === b.rule && a.trackId === b.trackId && a.direction === b.direction && apartMs <= SAME_MS;
}

/** Whether two events of one rule were on at the same time by the wall clock: other detectors give other tracks. */
export function isOfMoment(a: WholeEvent, b: WholeEvent): boolean {
  const startsBeforeEnd = (one: WholeEvent, other: WholeEvent): boolean =>
    wallMs(one.raised) <= wallMs(other.ended ?? other.raised) + SAME_MS;
  return a.rule === b.rule && a.direction === b.direction && startsBeforeEnd(a, b) && startsBeforeEnd(b, a);
}

/** Takes events apart: those that touch a time of which nothing is known, wall clock, cannot be compared. */
export function judgeable(
  events: readonly WholeEvent[],
  unknown: readonly { readonly fromMs: number; readonly toMs: number }[],
): { judged: WholeEvent[]; unjudged: WholeEvent[] } {
  const isUnknown = ({ began, raised }: WholeEvent): boolean =>
    unknown.some(({ fromMs, toMs }) => wallMs(began) <= toMs + SAME_MS && wallMs(raised) >= fromMs);
  return { judged: events.filter((event) => !isUnknown(event)), unjudged: events.filter(isUnknown) };
}

function wallMs({ at = '' }: EventMoment): number {
  return Date.parse(at);
}
