import { type Clock, systemClock } from '../../../base/core/clock.ts';
import { counted } from '../../../base/core/counted.ts';
import type { StreamLease } from '../../../base/core/stream-lease.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Incidents } from '../../../base/flow/incidents.ts';
import { Pause } from '../../../base/flow/pause.ts';
import type { KeptEvent } from '../../../wire/protocol/fleet.ts';
import { endOf, type RuleEvent } from '../../../wire/protocol/rule-event.ts';
import type { FleetEvents } from '../control-plane.ts';

/** While the control plane does not answer. */
const RETRY_MS = 250;
/** Sinks write what they got within this time. If the host is killed before, the next one hands it out again. */
const SETTLED_MS = 1000;
/** Open events of a stream, and records of it that wait for the control plane. Beyond, no new event is reported. */
const MOST_OPEN = 500;
const MOST_WAITING = 1000;
/** Records in one transaction, which blocks Redis. */
const RECORDS_AT_ONCE = 100;
/** A stream that stops waits so long for the control plane. */
const MOST_CLOSING_MS = 2000;

export interface LeasedEventsOptions {
  readonly events: FleetEvents;
  readonly hostId: string;
  /**
   * Keeps a record on this host, and hands it out if it still may by then. Never rejects.
   *
   * @returns whether it was handed out.
   */
  readonly deliver: (event: RuleEvent, mayHandOut: () => boolean) => Promise<boolean>;
  readonly onNotice: (text: string) => void;
  readonly incidents: Incidents;
  readonly clock?: Clock;
}

/**
 * What rules report of streams under a lease. A record is handed out once the fleet keeps it, which it accepts only from the
 * holder of the lease. So a host that has lost its lease is silent, and the next one knows what was handed out: it begins with
 * what the one before could not hand out any more, and with the ends of events that it left open.
 */
export class LeasedEvents {
  readonly #options: LeasedEventsOptions;
  readonly #outboxes = new Map<string, Outbox>();
  #withheldCount = 0;

  constructor(options: LeasedEventsOptions) {
    this.#options = options;
  }

  /** Records that were not reported: the lease was lost, or too many waited. */
  get withheldCount(): number {
    return this.#withheldCount;
  }

  /** Begins under a lease, or goes on if it is the same. */
  open(streamId: string, lease: StreamLease): void {
    const known = this.#outboxes.get(streamId);
    if (known?.lease.fence === lease.fence) return;
    known?.lose();
    const onWithheld = (): void => {
      this.#withheldCount += 1;
    };
    this.#outboxes.set(streamId, new Outbox(streamId, lease, this.#options, onWithheld));
  }

  /** Takes the next record of a stream. @returns false if it is under no lease, so that its caller hands it out. */
  record(event: RuleEvent): boolean {
    const outbox = this.#outboxes.get(event.stream);
    outbox?.record(event);
    if (outbox === undefined && event.fence !== undefined) this.#withheldCount += 1;
    return outbox !== undefined || event.fence !== undefined;
  }

  /** Call it before the stream is stopped for good: finds out if its events end because another host goes on with it. */
  async leave(streamId: string): Promise<void> {
    await this.#outboxes.get(streamId)?.leave();
  }

  /** Resolves once the records of a stream are handed out, or it is certain that another host does that. */
  async close(streamId: string): Promise<void> {
    const outbox = this.#outboxes.get(streamId);
    await outbox?.close();
    if (this.#outboxes.get(streamId) === outbox) this.#outboxes.delete(streamId);
  }
}

/** Records of an event that were handed out, the newest last: those of the last moments, at least one. */
type HandedOut = readonly { readonly event: RuleEvent; readonly atMs: number }[];

/** The records of one stream under one lease. */
class Outbox {
  readonly #streamId: string;
  readonly lease: StreamLease;
  readonly #options: LeasedEventsOptions;
  readonly #onWithheld: () => void;
  readonly #clock: Clock;
  readonly #pause: Pause;
  /** Not handed out yet, in order, and how many of these are being written and handed out now. */
  #waiting: RuleEvent[] = [];
  #taken = 0;
  /** The next number of each event that was raised under this lease and has not ended. */
  readonly #raised = new Map<string, number>();
  readonly #handedOut = new Map<string, HandedOut>();
  /** Ids of events whose records were handed out, which the fleet does not know yet. */
  readonly #unknown = new Set<string>();
  #hasTakenOver = false;
  #isMoving = false;
  #closeByMs: number | null = null;
  #isOver = false;
  #isRunning = false;
  /** It waits for sinks to write. */
  #isIdle = false;
  #running: Promise<void> = Promise.resolve();

  constructor(streamId: string, lease: StreamLease, options: LeasedEventsOptions, onWithheld: () => void) {
    this.#streamId = streamId;
    this.lease = lease;
    this.#options = options;
    this.#onWithheld = onWithheld;
    this.#clock = options.clock ?? systemClock;
    this.#pause = new Pause(this.#clock);
    this.#run();
  }

  record(event: RuleEvent): void {
    const { id, phase, endReason } = event;
    if (this.#isOver || !this.#isAdmitted(event)) {
      this.#onWithheld();
      return;
    }
    // Of updates that wait, the newest counts.
    const isOlder = (each: RuleEvent, i: number): boolean => i >= this.#taken && each.id === id && each.phase === phase;
    const older = phase === 'update' ? this.#waiting.findIndex(isOlder) : -1;
    const seq = this.#waiting[older]?.seq ?? this.#raised.get(id) ?? 0;
    const reason = endReason === 'stopped' && this.#isMoving ? { endReason: 'moved' as const } : {};
    const own = { ...event, seq, fence: this.lease.fence, ...reason };
    if (older < 0) this.#waiting.push(own);
    else this.#waiting[older] = own;
    if (phase === 'end') this.#raised.delete(id);
    else this.#raised.set(id, Math.max(seq + 1, this.#raised.get(id) ?? 0));
    if (this.#isIdle) this.#pause.end();
    this.#run();
  }

  async leave(): Promise<void> {
    if (this.#raised.size === 0 || !this.lease.isValid()) return;
    this.#isMoving = await this.#options.events.isWanted(this.#streamId).catch(() => false);
  }

  async close(): Promise<void> {
    this.#closeByMs = this.#clock.now() + MOST_CLOSING_MS;
    this.#pause.end();
    await this.#running;
    this.lose();
  }

  /** Says nothing any more. On this host, events that are open are kept as moved. */
  lose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const records of this.#handedOut.values()) {
      const { event } = records.at(-1)!;
      if (event.phase !== 'end') void this.#options.deliver(endOf(event, 'moved'), () => false);
    }
    const count = this.#waiting.length;
    for (let i = 0; i < count; i++) this.#onWithheld();
    if (count > 0)
      this.#options.onNotice(
        `stream "${this.#streamId}": ${counted(count, 'record')} of events withheld: its lease is lost`,
      );
    this.#waiting = [];
  }

  #isAdmitted({ id, phase }: RuleEvent): boolean {
    if (phase !== 'new') return this.#raised.has(id);
    return this.#raised.size < MOST_OPEN && this.#waiting.length < MOST_WAITING;
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#drain();
  }

  async #drain(): Promise<void> {
    let isSettled = false;
    while (!this.#isOver && (!this.#hasTakenOver || this.#waiting.length > 0 || this.#unknown.size > 0)) {
      const isLate = this.#closeByMs !== null && (!this.lease.isValid() || this.#clock.now() >= this.#closeByMs);
      if (isLate) break;
      if (this.#hasTakenOver && this.#waiting.length === 0 && !isSettled && this.#closeByMs === null) {
        this.#isIdle = true;
        await this.#pause.wait(SETTLED_MS);
        this.#isIdle = false;
        isSettled = this.#waiting.length === 0;
        continue;
      }
      isSettled = false;
      // A lease that has just ended may be renewed yet; if it is lost, its stream is stopped, which ends this.
      if (this.lease.isValid() && (await this.#step())) continue;
      await this.#pause.wait(RETRY_MS);
    }
    this.#isRunning = false;
  }

  /** @returns false if it has to be tried again. */
  async #step(): Promise<boolean> {
    try {
      if (!this.#hasTakenOver) await this.#takeOver();
      const batch = this.#waiting.slice(0, RECORDS_AT_ONCE);
      this.#taken = batch.length;
      const changes = this.#changes(batch);
      if (changes.size === 0) return true;
      const { events, hostId, deliver } = this.#options;
      if (!(await events.keep(this.#streamId, hostId, this.lease.fence, changes))) {
        this.lose();
        return true;
      }
      for (const [id, kept] of changes) {
        if (kept?.isSent !== false) this.#unknown.delete(id);
        if (kept === null) this.#handedOut.delete(id);
      }
      // All at once: those that come together are kept and sent together.
      const mayHandOut = (): boolean => !this.#isOver && this.lease.isValid();
      const wereHandedOut = await Promise.all(batch.map((event) => deliver(event, mayHandOut)));
      for (const [i, event] of batch.entries()) {
        if (!wereHandedOut[i]) return false;
        this.#handedOut.set(event.id, [...this.#recent(event.id), { event, atMs: this.#clock.now() }]);
        this.#unknown.add(event.id);
        this.#waiting.shift();
        this.#taken -= 1;
      }
      return true;
    } catch (error) {
      const isExpected = error instanceof SightlineError && error.code === 'CONTROL_UNREACHABLE';
      if (!isExpected) this.#options.incidents.catch('events of a fleet', error);
      return false;
    } finally {
      this.#taken = 0;
    }
  }

  /** What the fleet has to keep from now on; null: nothing of an event. */
  #changes(batch: readonly RuleEvent[]): Map<string, KeptEvent | null> {
    const changes = new Map<string, KeptEvent | null>();
    for (const id of new Set([...this.#unknown, ...batch.map((event) => event.id)])) {
      const recent = this.#recent(id).map(({ event }) => event);
      const records = [...recent, ...batch.filter((event) => event.id === id)];
      const newest = this.#handedOut.get(id)?.at(-1)?.event;
      if (records.length > recent.length) changes.set(id, { isSent: false, records });
      else if (recent.length === 0)
        changes.set(id, newest === undefined || newest.phase === 'end' ? null : { isSent: true, records: [newest] });
    }
    return changes;
  }

  /** Records that sinks may not have written yet. While its stream is stopped, the host lives until they have. */
  #recent(id: string): HandedOut {
    const sinceMs = this.#clock.now() - SETTLED_MS;
    return this.#closeByMs !== null ? [] : (this.#handedOut.get(id) ?? []).filter(({ atMs }) => atMs > sinceMs);
  }

  /** Puts before its own records what earlier holders of the lease have left. */
  async #takeOver(): Promise<void> {
    const left = await this.#options.events.kept(this.#streamId);
    const { fence } = this.lease;
    const records = Array.from(left).flatMap(([id, kept]) => {
      // What cannot be read is removed.
      if (kept === null) this.#unknown.add(id);
      const own = (kept?.records ?? []).map((record) => ({ ...record, fence }));
      const last = own.at(-1);
      const end = last === undefined || last.phase === 'end' ? [] : [endOf(last, 'moved')];
      return [...(kept?.isSent === true ? [] : own), ...end];
    });
    this.#waiting.unshift(...records);
    this.#hasTakenOver = true;
  }
}
