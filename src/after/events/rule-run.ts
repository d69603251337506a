import { createHash } from 'node:crypto';
import { durationMs } from '../../settings/config/duration.ts';
import type { RuleConfig, RuleOf } from '../../settings/config/event-rules.ts';
import { compileExpression, type Expression, type RuleFacts } from '../../settings/config/expression.ts';
import { WeeklyClock } from '../../settings/config/weekly-times.ts';
import type { EventFigures } from '../../wire/protocol/report.ts';
import { roundScore } from '../../wire/protocol/result-record.ts';
import type { EventEnd, EventPhase, RuleEvent } from '../../wire/protocol/rule-event.ts';
import { FrameShare } from './frame-share.ts';
import { appears, crosses, dwells, enters, exits, leaves, speed, stationary } from './object-rules.ts';
import type { Held, RuleKindCode, Scene } from './rule-kind.ts';
import type { SceneTime } from './scene-objects.ts';
import { count, picture, stream } from './scene-rules.ts';

/** What each kind of rule does; its settings are in `config/event-rules.ts`. */
const KINDS: Readonly<Record<RuleConfig['kind'], RuleKindCode>> = {
  appears,
  leaves,
  enters,
  exits,
  dwells,
  crosses,
  speed,
  stationary,
  count,
  picture,
  stream,
};

/** Why a rule that was met raised no event. */
type SuppressedBy = keyof EventFigures['suppressed'];

/** What an event has of its stream. */
export interface StreamFacts extends Pick<RuleEvent, 'stream' | 'run' | 'captureClock' | 'blind' | 'fence'> {
  /** The frame within the recording that the stream reads; absent if it reads none, and if the rule is not about what is seen. */
  readonly place?: readonly [recording: string, breaks: number, ptsUs: number];
}

/** An open event is reported again when its object scores this much better, or the number of objects changes. */
const BETTER_SCORE = 0.05;
/** At most so often. */
const UPDATE_US = 1_000_000;

/** A condition that holds, or has held a moment ago. */
interface Condition {
  held: Held;
  readonly since: SceneTime;
  /** When it was reported last. */
  heldUs: number;
  /** When it was seen last: an object may be hidden for a moment. */
  last: SceneTime;
  /** The frames since it began, of a kind that goes by their share. */
  readonly share: FrameShare;
  /** The newest frames, if it mostly does not hold in them, and when it held before them. */
  failing: { readonly share: FrameShare; readonly heldUs: number; readonly last: SceneTime } | null;
  /** Null until it has been raised. */
  open: Open | null;
  /** It was met, but not raised, for these reasons. */
  readonly suppressed: Set<SuppressedBy>;
}

interface Open {
  readonly id: string;
  readonly raised: SceneTime;
  readonly reason: string;
  readonly facts: StreamFacts;
  seq: number;
  updatedUs: number;
  score: number;
  count: number | undefined;
}

/** One rule on one stream: it gives each condition that lasts an event with exactly one `new` and one `end`. */
export class RuleRun {
  readonly rule: RuleConfig;
  readonly #code: RuleKindCode;
  readonly #forUs: number;
  readonly #cooldownUs: number;
  readonly #when: Expression | null;
  readonly #times: WeeklyClock | null;
  readonly #emit: (event: RuleEvent) => void;
  readonly #onProblem: (text: string) => void;
  #hasFailed = false;
  readonly #conditions = new Map<string, Condition>();
  #raised = 0;
  #ended = 0;
  #lastRaisedUs = -Infinity;
  readonly #suppressed: Record<SuppressedBy, number> = { times: 0, cooldown: 0, when: 0 };

  /**
   * @param rule - as the schema accepts it.
   * @param onProblem - called once if its expression fails.
   */
  constructor(rule: RuleConfig, emit: (event: RuleEvent) => void, onProblem: (text: string) => void) {
    this.rule = rule;
    this.#code = KINDS[rule.kind];
    this.#forUs = 'for' in rule && rule.kind !== 'leaves' ? durationMs(rule.for) * 1000 : 0;
    this.#cooldownUs = durationMs(rule.cooldown) * 1000;
    this.#when = rule.when === undefined ? null : (compileExpression(rule.when) as Expression);
    this.#times = rule.times === undefined ? null : new WeeklyClock(rule.times);
    this.#emit = emit;
    this.#onProblem = onProblem;
  }

  get figures(): EventFigures {
    return { raised: this.#raised, ended: this.#ended, suppressed: { ...this.#suppressed } };
  }

  /** Whether an event of it is open. */
  get isOpen(): boolean {
    return [...this.#conditions.values()].some(({ open }) => open !== null);
  }

  /**
   * Takes the next moment.
   *
   * @param releaseUs - a condition that does not hold for this long is over: detectors miss an object now and then.
   * @param facts - what events that are raised now have of their stream.
   */
  step(scene: Scene, releaseUs: number, facts: () => StreamFacts): void {
    const { now } = scene;
    const held = new Set<Condition>();
    for (const each of this.#code.holds?.(this.rule, scene) ?? []) {
      const condition = this.#conditionOf(each, now);
      held.add(condition);
      if (condition.open !== null) this.#update(condition);
      else if (condition.last.us === now.us && now.us - condition.since.us >= this.#forUs)
        this.#tryToRaise(condition, now, facts);
    }
    for (const [key, condition] of this.#conditions) {
      const { failing } = condition;
      const isOver =
        this.#code.isByShare === true
          ? isOverByShare(condition, held.has(condition), now.us - releaseUs)
          : now.us - condition.heldUs > releaseUs;
      if (!isOver && condition.held.object?.isGone !== true) continue;
      this.#conditions.delete(key);
      this.#end(condition, now, failing?.last ?? condition.last, 'over');
    }
    for (const held of this.#code.happened?.(this.rule, scene) ?? []) {
      const { object } = held;
      const last = this.rule.kind === 'leaves' && object !== undefined ? object.last : now;
      const condition: Condition = { ...newCondition(held, now), last };
      this.#tryToRaise(condition, now, facts);
      this.#end(condition, now, last, 'over');
    }
  }

  /** Forgets what has not held for long enough: nothing was seen for a while. */
  forgetUnmet(): void {
    for (const [key, { open }] of this.#conditions) if (open === null) this.#conditions.delete(key);
  }

  /** Ends all its events. */
  end(reason: EventEnd, now: SceneTime): void {
    for (const condition of this.#conditions.values()) this.#end(condition, now, condition.last, reason);
    this.#conditions.clear();
  }

  #conditionOf(held: Held, now: SceneTime): Condition {
    let condition = this.#conditions.get(held.key);
    if (condition === undefined) {
      condition = newCondition(held, now);
      this.#conditions.set(held.key, condition);
    }
    condition.held = held;
    condition.heldUs = now.us;
    condition.last = held.object?.last ?? now;
    return condition;
  }

  #tryToRaise(condition: Condition, now: SceneTime, facts: () => StreamFacts): void {
    if (!this.#isWanted(condition.held)) return;
    const reason = this.#suppressedBy(condition, now);
    if (reason !== null) {
      if (!condition.suppressed.has(reason)) this.#suppressed[reason] += 1;
      condition.suppressed.add(reason);
      return;
    }
    const { held, since } = condition;
    const own = facts();
    this.#raised += 1;
    this.#lastRaisedUs = now.us;
    condition.open = {
      id: idOf(own, this.rule.id, held, now.frame),
      raised: now,
      reason: this.#code.sentence(this.rule, held, (condition.last.us - since.us) / 1e6),
      facts: own,
      seq: 0,
      updatedUs: now.us,
      score: held.object?.score ?? 0,
      count: held.count,
    };
    this.#send(condition, condition.open, 'new', now);
  }

  /** Whether it is about one of the objects that the rule names. A rule that counts has chosen them itself. */
  #isWanted({ object }: Held): boolean {
    if (object === undefined) return true;
    const { labels, minScore = 0, minSize = 0 } = this.rule as RuleOf<'appears'>;
    return labels?.includes(object.label) !== false && object.score >= minScore && object.size >= minSize;
  }

  #suppressedBy({ held, since }: Condition, now: SceneTime): SuppressedBy | null {
    const timeMs = now.moment.at === undefined ? null : Date.parse(now.moment.at);
    if (this.#times !== null && timeMs !== null && !this.#times.includes(timeMs)) return 'times';
    if (now.us - this.#lastRaisedUs < this.#cooldownUs) return 'cooldown';
    if (this.#when === null) return null;
    const { object } = held;
    const isMet = this.#isTrue(this.#when, {
      label: object?.label ?? '',
      score: object?.score ?? 0,
      age: object === undefined ? 0 : (now.us - object.first.us) / 1e6,
      held: (now.us - since.us) / 1e6,
      size: object?.size ?? 0,
      speed: held.speed ?? object?.speed(null) ?? 0,
      count: held.count ?? 0,
      hour: timeMs === null ? -1 : (this.#times ?? hostClock()).hour(timeMs),
      attributes: object?.attributes ?? {},
    });
    return isMet ? null : 'when';
  }

  /** An expression that fails, such as a division by zero, is not true. */
  #isTrue(expression: Expression, facts: RuleFacts): boolean {
    try {
      return expression(facts);
    } catch (error) {
      // Nothing is known of an object before a second stage has looked at it.
      if ((error as { readonly code?: string }).code === 'no_such_key') return false;
      const why = (error as Error).message.split('\n', 1)[0]!;
      if (!this.#hasFailed) this.#onProblem(`rule ${this.rule.id}: its expression fails, and counts as false: ${why}`);
      this.#hasFailed = true;
      return false;
    }
  }

  #update(condition: Condition): void {
    const { held, last } = condition;
    const open = condition.open!;
    const isBetter = (held.object?.score ?? 0) >= open.score + BETTER_SCORE;
    if ((!isBetter && held.count === open.count) || last.us - open.updatedUs < UPDATE_US) return;
    open.updatedUs = last.us;
    open.score = held.object?.score ?? 0;
    open.count = held.count;
    this.#send(condition, open, 'update', last);
  }

  #end(condition: Condition, now: SceneTime, ended: SceneTime, endReason: EventEnd): void {
    const { open } = condition;
    if (open === null) return;
    this.#ended += 1;
    this.#send(condition, open, 'end', now, { ended: ended.moment, endReason });
  }

  #send(
    { held, since }: Condition,
    open: Open,
    phase: EventPhase,
    now: SceneTime,
    end: Pick<RuleEvent, 'ended' | 'endReason'> = {},
  ): void {
    const { rule } = this;
    const { object } = held;
    const { facts } = open;
    const entries: { [K in keyof Required<RuleEvent>]: RuleEvent[K] | undefined } = {
      id: open.id,
      seq: open.seq++,
      phase,
      rule: rule.id,
      kind: rule.kind,
      stream: facts.stream,
      run: facts.run,
      ptsUs: now.moment.ptsUs,
      at: now.moment.at,
      captureClock: facts.captureClock,
      began: since.moment,
      raised: open.raised.moment,
      ended: end.ended,
      endReason: end.endReason,
      reason: open.reason,
      zone: 'zone' in rule ? rule.zone : undefined,
      line: 'line' in rule ? rule.line : undefined,
      direction: held.direction,
      trackId: object?.trackId,
      label: object?.label,
      score: object === undefined ? undefined : roundScore(object.score),
      count: held.count,
      speed: held.speed === undefined ? undefined : Math.round(held.speed * 1000) / 1000,
      sign: held.sign,
      path: object?.path,
      best: object?.best,
      clip: rule.clip === undefined || facts.run === undefined ? undefined : `/api/events/${open.id}/clip.mp4`,
      blind: facts.blind,
      fence: facts.fence,
    };
    const event: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(entries)) if (value !== undefined) event[name] = value;
    this.#emit(event as unknown as RuleEvent);
  }
}

let everyDay: WeeklyClock | undefined;

/** The clock on the wall of this host, for rules without times of their own. */
function hostClock(): WeeklyClock {
  everyDay ??= new WeeklyClock({ on: ['daily 00:00-24:00'] });
  return everyDay;
}

function newCondition(held: Held, now: SceneTime): Condition {
  return {
    held,
    since: held.since ?? now,
    heldUs: now.us,
    last: now,
    share: new FrameShare(),
    failing: null,
    open: null,
    suppressed: new Set(),
  };
}

/**
 * Takes the next frame. It is over when it failed since a time, and before it is raised also when too few frames hold.
 *
 * @param overUs - one that has mostly failed since then is over.
 */
function isOverByShare(condition: Condition, isHeld: boolean, overUs: number): boolean {
  if (!condition.share.take(isHeld) && condition.open === null) return true;
  const { heldUs, last } = condition;
  if (!isHeld) condition.failing ??= { share: new FrameShare(), heldUs, last };
  if (condition.failing?.share.take(!isHeld) === false) condition.failing = null;
  return condition.failing !== null && condition.failing.heldUs < overUs;
}

const ID_DIGITS = 24;

/**
 * A run and the number of a frame never come again. A frame of a recording has the same id whoever reads it, and when. Without either, the
 * object tells recordings of the same name apart.
 */
function idOf(
  { stream, run = '', place }: StreamFacts,
  rule: string,
  { key, object, count }: Held,
  frame: number,
): string {
  const seen = object === undefined ? [count] : [object.label, roundScore(object.score)];
  const text = JSON.stringify([stream, ...(place ?? [run, frame]), rule, key, seen]);
  return createHash('sha256').update(text).digest('hex').slice(0, ID_DIGITS);
}
