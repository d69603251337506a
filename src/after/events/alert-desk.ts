import { z } from 'zod';
import type { Clock } from '../../base/core/clock.ts';
import { counted } from '../../base/core/counted.ts';
import type { AlertConfig } from '../../settings/config/alerts.ts';
import { durationMs } from '../../settings/config/duration.ts';
import { WeeklyClock } from '../../settings/config/weekly-times.ts';
import type { AlertDelivery } from '../../wire/protocol/alert-delivery.ts';
import type { AlertFigures } from '../../wire/protocol/report.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import { type Handover, handOver, type KeepState, type Sink, type SnapshotChannel } from '../sinks/sink.ts';
import { AlertOutcomes } from './alert-outcomes.ts';
import { AwaitedSnapshots } from './awaited-snapshots.ts';

/** A sink that carries nothing but alerts. */
type AlertChannel = Pick<Sink, 'publishEvent' | 'openSnapshots' | 'watchDeliveries' | 'figures'>;

interface AlertDeskOptions {
  readonly alerts: readonly AlertConfig[];
  /** By their names; every `to` has one. */
  readonly channels: ReadonlyMap<string, AlertChannel>;
  /** Returns the picture of an event that an earlier process told; null if there is none. */
  readonly snapshotOf: (event: RuleEvent) => Promise<Uint8Array | null>;
  /** What links begin with; absent: they are paths at the gateway. */
  readonly publicUrl?: string | undefined;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallNow: () => number;
}

/** What the next process needs of a thread. */
const keptThread = z.object({ toldMs: z.number(), wasTogether: z.boolean() });

/** An event that waits for the end of its group. */
interface Following {
  readonly event: RuleEvent;
  /** The channels that are to tell it, each with what is called once it has the message. */
  readonly to: ReadonlyMap<string, () => void>;
}

interface Alert {
  readonly config: AlertConfig;
  readonly quiet: WeeklyClock | null;
  /** When the quiet time ends that was found last; a storm of events asks for it again and again. */
  quietEnd: { readonly sinceMs: number; readonly untilMs: number | null };
}

interface Message {
  readonly event: RuleEvent;
  readonly to: readonly string[];
  /** Of how many events it tells. */
  readonly count?: number;
  readonly wasTogether?: boolean;
}

/** Messages about one rule on one stream to the channels of one alert. */
interface Thread {
  /** Monotonic, when the last message left. */
  toldMs: number;
  /** It told of several events. */
  wasTogether: boolean;
  /** What has come since a message within `group`, to be told together. */
  following: Following[];
  cancelTimer: (() => void) | null;
}

/** The ledger of one channel, without what the channel itself counts. */
interface Ledger {
  raised: number;
  grouped: number;
  readonly suppressed: { hold: number; quiet: number };
  /** Waits for the end of a group. */
  pending: number;
  /** Passed to the channel. What it has besides was raised by an earlier process. */
  passed: number;
}

/**
 * Tells people of events: the first at once, those that follow it in one message. Each event that an alert matches is accounted for in
 * each of its channels: raised = sent + grouped + suppressed + failed + pending, exactly.
 */
export class AlertDesk {
  readonly #options: AlertDeskOptions;
  readonly #alerts: readonly Alert[];
  #kept: ReadonlyMap<string, unknown> = new Map();
  #keep: KeepState = () => undefined;
  readonly #threads = new Map<string, Thread>();
  readonly #ledgers: ReadonlyMap<string, Ledger>;
  readonly #snapshots: AwaitedSnapshots;
  readonly #outcomes = new AlertOutcomes();
  /** Passes a picture that is there, or that there is none, to the channels that told its event. */
  readonly onPicture: AwaitedSnapshots['onPicture'];

  constructor(options: AlertDeskOptions) {
    this.#options = options;
    const snapshots = [...options.channels].flatMap(([name, channel]): [string, SnapshotChannel][] => {
      const opened = channel.openSnapshots?.();
      return opened === undefined ? [] : [[name, opened]];
    });
    this.#snapshots = new AwaitedSnapshots({ ...options, channels: new Map(snapshots) });
    this.onPicture = (...picture) => this.#snapshots.onPicture(...picture);
    for (const [name, channel] of options.channels)
      channel.watchDeliveries?.((...delivery) => this.#outcomes.onDelivery(name, ...delivery));
    this.#alerts = options.alerts.map((config) => ({
      config,
      quiet: config.quiet === undefined ? null : new WeeklyClock(config.quiet),
      quietEnd: { sinceMs: Number.POSITIVE_INFINITY, untilMs: null },
    }));
    this.#ledgers = new Map(
      [...options.channels.keys()].map((name) => [
        name,
        { raised: 0, grouped: 0, suppressed: { hold: 0, quiet: 0 }, pending: 0, passed: 0 },
      ]),
    );
  }

  /** Goes on with what an earlier process told last. */
  resume(kept: ReadonlyMap<string, unknown>, keep: KeepState): void {
    this.#kept = kept;
    this.#keep = keep;
    this.#snapshots.resume(kept, keep);
  }

  /**
   * Takes a record of an event. Only beginnings are told.
   *
   * @param given - channels that have it from an earlier process.
   * @returns the channels that are to tell it; what waits for the end of a group is nowhere else.
   */
  onEvent(event: RuleEvent, given: ReadonlySet<string> = new Set()): Handover {
    if (event.phase !== 'new') return new Map();
    const waits = new Map<string, Promise<unknown>>();
    for (const [i, alert] of this.#alerts.entries()) {
      const { on, streams } = alert.config;
      if (!on.includes(event.rule) || streams?.includes(event.stream) === false) continue;
      const to = alert.config.to.filter((name) => !given.has(name));
      if (to.length === 0) continue;
      const taken = this.#take(`${i} ${event.stream} ${event.rule}`, alert, event, to);
      // Several alerts may tell one channel of it.
      for (const [name, isKept] of taken) waits.set(name, Promise.all([waits.get(name), isKept]));
    }
    return waits;
  }

  /** What became of the alert of an event in each channel; none if nobody is told of it; null if it is not known any more. */
  deliveriesOf(event: string): readonly AlertDelivery[] | null {
    return this.#outcomes.of(event);
  }

  /** What became of the events that each channel was to tell, by its name. */
  get figures(): Readonly<Record<string, AlertFigures>> {
    return Object.fromEntries(
      [...this.#ledgers].map(([name, { raised, grouped, suppressed, pending, passed }]) => {
        const { sent, waiting, lost } = this.#options.channels.get(name)!.figures;
        const failed = Object.values(lost).reduce((sum, each) => sum + each, 0);
        const carried = sent + waiting + failed - passed;
        const figures = { sent, grouped, suppressed: { ...suppressed }, failed, pending: waiting + pending };
        return [name, { raised: raised + carried, ...figures, ...this.#snapshots.figuresOf(name) }];
      }),
    );
  }

  /** Tells what waits for the end of its group. Pictures that are not there yet are left to the next process. */
  close(): void {
    for (const [key, { cancelTimer }] of this.#threads) {
      cancelTimer?.();
      this.#tellFollowing(key, this.#alerts[Number.parseInt(key, 10)]!.config);
    }
    this.#snapshots.close();
  }

  /** @param names - the channels of the alert that lack the event. */
  #take(key: string, alert: Alert, event: RuleEvent, names: readonly string[]): Handover {
    const { config, quiet } = alert;
    const { clock, wallNow } = this.#options;
    const count = (add: (ledger: Ledger) => void): void => this.#count(names, add);
    count((ledger) => {
      ledger.raised += 1;
    });
    const atMs = wallNow();
    if (quiet?.includes(atMs) === true) {
      const untilMs = endOf(alert, quiet, atMs);
      this.#outcomes.set(event.id, names, { state: 'quiet', atMs, ...(untilMs === null ? {} : { untilMs }) });
      count(({ suppressed }) => {
        suppressed.quiet += 1;
      });
      return new Map();
    }
    const [holdMs, groupMs] = [durationMs(config.hold), durationMs(config.group)];
    const thread = this.#threads.get(key) ?? this.#resumed(config, event);
    this.#threads.set(key, thread);
    const passedMs = clock.now() - thread.toldMs;
    // Without a pause between messages, those of a storm follow each other as groups.
    const follows = passedMs < groupMs && (holdMs === 0 || !thread.wasTogether);
    if (thread.cancelTimer !== null || follows) {
      const to = new Map<string, () => void>();
      const waits = names.map((name): [string, Promise<void>] => [
        name,
        new Promise((resolve) => to.set(name, resolve)),
      ]);
      thread.following.push({ event, to });
      this.#outcomes.set(event.id, names, { state: 'waiting', atMs });
      count((ledger) => {
        ledger.pending += 1;
      });
      thread.cancelTimer ??= clock.setTimer(() => this.#tellFollowing(key, config), groupMs - passedMs);
      return new Map(waits);
    }
    if (passedMs >= holdMs) return this.#tell(config, thread, { event, to: names });
    this.#outcomes.set(event.id, names, {
      state: 'held',
      atMs,
      hold: config.hold,
      withMs: atMs - Math.round(passedMs),
    });
    count(({ suppressed }) => {
      suppressed.hold += 1;
    });
    return new Map();
  }

  /** Tells all that has come since the last message, as one. */
  #tellFollowing(key: string, config: AlertConfig): void {
    const thread = this.#threads.get(key)!;
    const following = thread.following.splice(0);
    const events = following.map(({ event }) => event);
    thread.cancelTimer = null;
    const [first] = events;
    if (first === undefined) return;
    for (const name of config.to) {
      const count = following.filter(({ to }) => to.has(name)).length;
      this.#count(count === 0 ? [] : [name], (ledger) => {
        ledger.pending -= count;
        ledger.grouped += count - 1;
      });
    }
    const message = events.length === 1 ? first : { ...first, ...together(events, config.group) };
    if (message !== first)
      this.#outcomes.join(
        message.id,
        events.map(({ id }) => id),
      );
    const to = config.to.filter((name) => following.some((each) => each.to.has(name)));
    const told = this.#tell(config, thread, { event: message, to, count: events.length, wasTogether: true });
    for (const [name, isKept] of told) for (const each of following) void isKept.then(each.to.get(name));
  }

  /** An alert is known by what it tells to whom: its times may be changed. */
  #keyOf({ on, streams, to }: AlertConfig, { stream, rule }: Pick<RuleEvent, 'stream' | 'rule'>): string {
    return `alert ${JSON.stringify([on, streams, to, stream, rule])}`;
  }

  #resumed(config: AlertConfig, event: RuleEvent): Thread {
    const { clock, wallNow } = this.#options;
    const none = { following: [], cancelTimer: null };
    const { data } = keptThread.safeParse(this.#kept.get(this.#keyOf(config, event)));
    if (data === undefined) return { toldMs: -Infinity, wasTogether: false, ...none };
    return { ...none, ...data, toldMs: clock.now() - Math.max(0, wallNow() - data.toldMs) };
  }

  #tell(config: AlertConfig, thread: Thread, { event, to, count = 1, wasTogether = false }: Message): Handover {
    const { clock, wallNow } = this.#options;
    thread.toldMs = clock.now();
    if (count === 1) this.#outcomes.set(event.id, to, { state: 'waiting', atMs: wallNow() });
    thread.wasTogether = wasTogether;
    this.#keep(this.#keyOf(config, event), { toldMs: wallNow(), wasTogether });
    const told = to.map((name): [string, Promise<void>] => {
      this.#ledgers.get(name)!.passed += 1;
      return [name, handOver(this.#options.channels.get(name)!, event, false)];
    });
    // A message about several events has no picture.
    if (event.clip !== undefined && count === 1) this.#snapshots.await(event, to, wasTogether);
    return new Map(told);
  }

  #count(names: readonly string[], add: (ledger: Ledger) => void): void {
    for (const name of names) add(this.#ledgers.get(name)!);
  }
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** When the quiet time ends that holds now, to the minute; null if not within a week. It is looked for once: that takes up to 50 ms. */
function endOf(alert: Alert, quiet: WeeklyClock, nowMs: number): number | null {
  const { sinceMs, untilMs } = alert.quietEnd;
  if (nowMs < sinceMs || nowMs >= (untilMs ?? sinceMs + DAY_MS))
    alert.quietEnd = { sinceMs: nowMs, untilMs: firstOutside(quiet, nowMs) };
  return alert.quietEnd.untilMs;
}

function firstOutside(times: WeeklyClock, nowMs: number): number | null {
  for (let timeMs = Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS; timeMs < nowMs + 7 * DAY_MS; timeMs += MINUTE_MS)
    if (!times.includes(timeMs)) return timeMs;
  return null;
}

/** `13 more events within 30s: 12 of person, 1 of dog`; an id of its own, so that no receiver takes it for another message. */
function together(events: readonly RuleEvent[], span: string): Pick<RuleEvent, 'id' | 'reason' | 'count'> {
  const labels = new Map<string, number>();
  for (const { label } of events) if (label !== undefined) labels.set(label, (labels.get(label) ?? 0) + 1);
  const what = [...labels].map(([label, count]) => `${count} of ${label}`).join(', ');
  const more = `${counted(events.length, 'more event')} within ${span}`;
  return { id: `${events[0]!.id}-more`, reason: what === '' ? more : `${more}: ${what}`, count: events.length };
}
