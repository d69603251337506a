import { z } from 'zod';
import type { Clock } from '../../base/core/clock.ts';
import type { AlertFigures } from '../../wire/protocol/report.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { KeepState, SnapshotChannel } from '../sinks/sink.ts';

/** A clip lasts ten minutes at most. */
const GIVE_UP_MS = 900_000;
/** Events whose pictures are awaited; of more, the oldest are given up. */
export const MOST_AWAITED = 100;
/** By then, what was passed to a channel is in its spool on the disk. */
const ON_DISK_MS = 1000;
const RESUMED_LOOKS = 12;
const LOOK_MS = 5000;
const KEY = 'alert snapshots';

const kept = z.object({
  awaited: z
    .array(
      z.object({
        event: z.custom<RuleEvent>((value) => typeof (value as Partial<RuleEvent> | null)?.id === 'string'),
        to: z.array(z.string()),
      }),
    )
    .max(2 * MOST_AWAITED),
});

interface AwaitedOptions {
  /** Those that send pictures, by name. */
  readonly channels: ReadonlyMap<string, SnapshotChannel>;
  readonly snapshotOf: (event: RuleEvent) => Promise<Uint8Array | null>;
  readonly publicUrl?: string | undefined;
  readonly clock: Pick<Clock, 'setTimer'>;
}

/** An event that people were told of, and whose picture is not there yet. */
interface Awaited {
  readonly event: RuleEvent;
  readonly to: Set<string>;
  isFound: boolean;
  cancel: () => void;
}

/** Sends the picture of each event after the message about it, once to each channel: also if the process is killed in between. */
export class AwaitedSnapshots {
  readonly #options: AwaitedOptions;
  readonly #awaited = new Map<string, Awaited>();
  /** Passed on, but perhaps not on the disk yet. */
  readonly #leaving = new Set<Awaited>();
  readonly #failed = new Map<string, number>();
  #keep: KeepState = () => undefined;
  #isClosed = false;

  constructor(options: AwaitedOptions) {
    this.#options = options;
  }

  /** Goes on with what an earlier process told. */
  resume(state: ReadonlyMap<string, unknown>, keep: KeepState): void {
    this.#keep = keep;
    for (const { event, to } of kept.safeParse(state.get(KEY)).data?.awaited ?? []) {
      const awaited = this.#add(event, to);
      // Its stream has to run first: nobody else knows what its pictures must hide.
      if (awaited !== null) void this.#look(awaited, RESUMED_LOOKS);
    }
  }

  /** People were told of an event. @param isLate - some time ago it happened, so that its picture may be there. */
  await(event: RuleEvent, to: readonly string[], isLate: boolean): void {
    const awaited = this.#add(event, to);
    if (awaited === null) return;
    if (this.#awaited.size > MOST_AWAITED) {
      const [oldest] = this.#awaited.values();
      this.#settle(oldest!, event, null);
    }
    this.#keepNow();
    if (isLate) void this.#look(awaited, null);
  }

  /** @param snapshot - makes the picture; null if there will be none. */
  async onPicture(event: RuleEvent, snapshot: (() => Promise<Uint8Array>) | null): Promise<void> {
    const awaited = this.#awaited.get(event.id);
    if (awaited === undefined || awaited.isFound || this.#isClosed) return;
    awaited.isFound = true;
    const jpeg = await (snapshot?.() ?? Promise.resolve(null)).catch(() => null);
    this.#settle(awaited, event, jpeg);
  }

  figuresOf(name: string): Pick<AlertFigures, 'snapshots'> {
    const channel = this.#options.channels.get(name);
    if (channel === undefined) return {};
    const { sent, failed, pending } = channel.figures;
    const own = [...this.#awaited.values()].filter(({ to }) => to.has(name)).length;
    return { snapshots: { sent, failed: failed + (this.#failed.get(name) ?? 0), pending: pending + own } };
  }

  /** What is not there yet is left to the next process. */
  close(): void {
    this.#isClosed = true;
    for (const { cancel } of [...this.#awaited.values(), ...this.#leaving]) cancel();
    this.#leaving.clear();
    this.#keepNow();
  }

  #add(event: RuleEvent, names: readonly string[]): Awaited | null {
    const to = names.filter((name) => this.#options.channels.has(name));
    if (to.length === 0) return null;
    const known = this.#awaited.get(event.id);
    if (known !== undefined) {
      for (const name of to) known.to.add(name);
      return known;
    }
    const awaited: Awaited = { event, to: new Set(to), isFound: false, cancel: () => undefined };
    awaited.cancel = this.#options.clock.setTimer(() => this.#settle(awaited, event, null), GIVE_UP_MS);
    this.#awaited.set(event.id, awaited);
    return awaited;
  }

  /** @param looks - how often it is looked for before it is given up; null: it may still come by itself. */
  async #look(awaited: Awaited, looks: number | null): Promise<void> {
    const { event } = awaited;
    const { snapshotOf, clock } = this.#options;
    const jpeg = await snapshotOf(event).catch(() => null);
    if (awaited.isFound || this.#isClosed || (jpeg === null && looks === null)) return;
    if (jpeg === null && looks! > 1) {
      clock.setTimer(() => void this.#look(awaited, looks! - 1), LOOK_MS);
      return;
    }
    awaited.isFound = true;
    this.#settle(awaited, event, jpeg);
  }

  /** @param event - its newest record. @param jpeg - null: it has no picture. */
  #settle(awaited: Awaited, event: RuleEvent, jpeg: Uint8Array | null): void {
    const { id } = awaited.event;
    if (this.#isClosed || !this.#awaited.delete(id)) return;
    awaited.cancel();
    const { channels, publicUrl = '', clock } = this.#options;
    if (jpeg === null) for (const name of awaited.to) this.#failed.set(name, (this.#failed.get(name) ?? 0) + 1);
    else {
      const link = `${publicUrl.replace(/\/$/, '')}/api/events/${encodeURIComponent(id)}/snapshot.jpg`;
      for (const name of awaited.to) channels.get(name)!.send(event, link, jpeg);
      this.#leaving.add(awaited);
      awaited.cancel = clock.setTimer(() => {
        this.#leaving.delete(awaited);
        this.#keepNow();
      }, ON_DISK_MS);
    }
    this.#keepNow();
  }

  #keepNow(): void {
    const awaited = [...this.#leaving, ...this.#awaited.values()].map(({ event, to }) => {
      const { path, ...rest } = event;
      return { event: rest, to: [...to] };
    });
    this.#keep(KEY, { awaited: awaited.slice(-2 * MOST_AWAITED) });
  }
}
