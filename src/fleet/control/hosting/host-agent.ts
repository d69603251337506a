import { type Clock, systemClock } from '../../../base/core/clock.ts';
import { SightlineError, type WireError } from '../../../base/errors/sightline-error.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { viewCount } from '../../../base/geometry/views.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import type { Assignment, HostCard, StreamOrder } from '../../../wire/protocol/fleet.ts';
import { readWake } from '../../../wire/protocol/fleet-bus.ts';
import type { BeatReply, BusMessage, ControlPlane } from '../control-plane.ts';
import type { PlanOptions } from '../planning/plan-options.ts';
import { FleetLeader } from './fleet-leader.ts';
import type { LeasedEvents } from './leased-events.ts';
import { type KeeperState, StreamKeeper } from './stream-keeper.ts';
import type { StreamRunner } from './stream-runner.ts';

/** Wake messages closer together than this cause one heartbeat. */
const WAKE_GAP_MS = 100;
/** A stream that leaves a draining host waits so long for the next host, which may not reach a camera that takes one client. */
const HAND_OVER_MS = 5_000;
/** A host that stops hands over within this time, which leaves 10 s of what a service manager allows. */
const LEAVE_MS = 15_000;

export interface HostAgentOptions {
  readonly control: Pick<ControlPlane, 'state' | 'bus'>;
  readonly runner: StreamRunner;
  /** What rules report; absent if they report nothing. */
  readonly events?: LeasedEvents | undefined;
  /** Fixed part of the host's card; the rest is measured. */
  readonly card: Omit<HostCard, 'liveFps' | 'bulkFps' | 'streams' | 'segments'>;
  readonly beatMs: number;
  /** Must equal the control plane's. */
  readonly leaseMs: number;
  readonly plan: PlanOptions;
  /** Called when the host must stop taking segments, or may take them again. */
  readonly onDraining: (isDraining: boolean) => void;
  readonly onNotice: (text: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Counts refused messages and exceptions in timers; without it they become notices. */
  readonly incidents?: Incidents;
}

export interface KeptStream {
  readonly id: string;
  readonly state: KeeperState;
  readonly fence: number | null;
  readonly failure: WireError | null;
}

/**
 * The host's side of the control plane. Sends heartbeats, renews leases, starts and stops streams according to the plan, and
 * plans for the fleet while it is the leader.
 *
 * A lease is valid until `leaseMs` after the heartbeat that renewed it was *sent*, on this process's monotonic clock. Redis
 * counts from its arrival, so no other host can get the lease earlier. While the control plane is unreachable, streams
 * run until their leases expire, are stopped then, and are claimed again when it is back.
 */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #incidents: Incidents;
  readonly #clock: Clock;
  readonly #leader: FleetLeader;
  readonly #keepers = new Map<string, StreamKeeper>();
  /** Of removed streams, by id: their events are being ended. */
  readonly #ending = new Map<string, Promise<void>>();
  #planRevision = 0;
  /** When the last answered heartbeat was sent. */
  #answeredMs = Number.NEGATIVE_INFINITY;
  #sentMs = Number.NEGATIVE_INFINITY;
  #beating: Promise<void> | null = null;
  #isDue = false;
  #isUnreachable = false;
  #isDraining = false;
  /** Hands over its streams, which it still runs; then it closes. */
  #isLeaving = false;
  #isClosed = false;
  #isLeader = false;
  #closing: Promise<void> | null = null;
  #stopTick: () => void = () => {};
  #stopSoon: (() => void) | null = null;
  #unsubscribe: () => void = () => {};
  #onAllDone: () => void = () => {};

  constructor(options: HostAgentOptions) {
    this.#options = options;
    this.#incidents = options.incidents ?? new Incidents((text) => options.onNotice(text), options.clock);
    this.#clock = this.#incidents.clock('the host agent', options.clock ?? systemClock);
    const { control, card, plan } = options;
    this.#leader = new FleetLeader({ control, hostId: card.id, plan, incidents: this.#incidents });
  }

  /** Joins the fleet; resolves after the first heartbeat. @throws HOST_EXISTS, CONTROL_UNREACHABLE */
  async start(): Promise<void> {
    this.#unsubscribe = this.#options.control.bus.subscribe('wake', null, (message) => this.#onWake(message));
    try {
      await this.#beat();
    } catch (error) {
      this.#unsubscribe();
      // A wake message that came meanwhile must not register the host after all.
      this.#isDue = false;
      throw error;
    }
    this.#stopTick = this.#clock.setTimer(() => this.#tick(), this.#options.beatMs);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  streams(): readonly KeptStream[] {
    return Array.from(this.#keepers.values(), ({ id, state, fence, failure }) => ({ id, state, fence, failure }));
  }

  /** Returns the fence of this host's lease of a stream; null if it has none. */
  fence(streamId: string): number | null {
    return this.#keepers.get(streamId)?.fence ?? null;
  }

  /** Returns false from the moment that a stream's lease may have expired. Costs one read of the clock. */
  mayPublish(streamId: string): boolean {
    const keeper = this.#keepers.get(streamId);
    return keeper !== undefined && keeper.fence !== null && keeper.isValid(keeper.fence);
  }

  /** Leaves the fleet: hands over streams, stops those that no host takes, and releases leases. Idempotent. */
  stop(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const allDone = new Promise<void>((resolve) => {
      this.#onAllDone = resolve;
    });
    await this.#handOver(allDone);
    this.#isClosed = true;
    for (const keeper of this.#keepers.values()) keeper.setWanted(null);
    // Heartbeats continue meanwhile: streams that still run need their leases.
    if (this.#keepers.size > 0) await allDone;
    await Promise.all(this.#ending.values());
    this.#stopTick();
    this.#unsubscribe();
    await this.#beating;
    this.#stopSoon?.();
    const { card, control } = this.#options;
    try {
      await control.state.leave(card.id, card.startedMs);
      control.bus.publish({ topic: 'wake', hostId: card.id, stream: null, fence: null, body: null });
    } catch (error) {
      this.#options.onNotice(`host ${card.id} could not leave the fleet cleanly: ${(error as Error).message}`);
    }
  }

  /** Goes on with the streams while hosts that could take them get ready. */
  async #handOver(allDone: Promise<void>): Promise<void> {
    const { beatMs, control, card } = this.#options;
    for (let ms = 0; ms < LEAVE_MS && this.#keepers.size > 0 && (await this.#hasSuccessor()); ms += beatMs) {
      if (!this.#isLeaving) {
        this.#isLeaving = true;
        await this.#beating;
        await this.#beat().catch(() => undefined);
        // The leader plans once it knows.
        control.bus.publish({ topic: 'wake', hostId: card.id, stream: null, fence: null, body: null });
      }
      let stopTimer = (): void => {};
      const beat = new Promise<void>((resolve) => {
        stopTimer = this.#clock.setTimer(resolve, beatMs);
      });
      await Promise.race([allDone, beat]);
      stopTimer();
    }
  }

  /** Returns whether another host could take the streams. */
  async #hasSuccessor(): Promise<boolean> {
    const { control, card } = this.#options;
    try {
      const { hosts, draining } = await control.state.snapshot();
      return hosts.some(({ id, pipeline }) => id !== card.id && pipeline === card.pipeline && !draining.has(id));
    } catch {
      return false;
    }
  }

  #tick(): void {
    // Scheduled first, so that heartbeats continue whatever fails below.
    this.#stopTick = this.#clock.setTimer(() => this.#tick(), this.#options.beatMs);
    for (const keeper of this.#keepers.values()) keeper.review();
    // No heartbeat is queued behind a slow one, and none follows right after one caused by a wake message.
    const isRecent = this.#clock.now() - this.#sentMs < this.#options.beatMs / 2;
    if (this.#beating === null && !isRecent) void this.#beat();
  }

  #beat(): Promise<void> {
    this.#isDue = false;
    const answer = this.#exchange();
    this.#beating = answer
      .then(
        () => this.#onAnswer(),
        (error: unknown) => this.#onBeatFailed(error),
      )
      .finally(() => {
        this.#beating = null;
        if (this.#isDue) this.#beatSoon();
      })
      .catch((error: unknown) => this.#incidents.catch('the host agent', error));
    return answer;
  }

  async #exchange(): Promise<void> {
    const { control } = this.#options;
    const held = new Map<string, number>();
    for (const { id, fence } of this.#keepers.values()) if (fence !== null) held.set(id, fence);
    const sentMs = this.#clock.now();
    this.#sentMs = sentMs;
    const reply = await control.state.beat({ card: this.#card(held.size), held, planRevision: this.#planRevision });
    this.#answeredMs = sentMs;
    this.#applyReply(reply, held);
  }

  #applyReply(reply: BeatReply, held: ReadonlyMap<string, number>): void {
    const { lost, plan, planRevision, isDraining, isLeader, ending } = reply;
    const gone = new Set(lost);
    for (const [id, fence] of held) {
      const keeper = this.#keepers.get(id);
      if (gone.has(id)) keeper?.markLost(fence);
      else keeper?.renew(fence, this.#leaseEndMs());
    }
    this.#isLeader = isLeader;
    if (!isLeader) this.#leader.resign();
    if (this.#isClosed) return;
    if (plan !== null) this.#applyPlan(plan, isDraining || this.#isLeaving ? HAND_OVER_MS : 0);
    this.#planRevision = planRevision;
    if (isDraining !== this.#isDraining) {
      this.#isDraining = isDraining;
      this.#options.onDraining(isDraining);
    }
    if (isLeader) void this.#leader.round();
    const { events } = this.#options;
    for (const id of events === undefined ? [] : ending)
      if (!this.#keepers.has(id) && !this.#ending.has(id)) this.#ending.set(id, this.#endEvents(id, events!));
  }

  #onAnswer(): void {
    if (this.#isUnreachable) this.#options.onNotice('the control plane answers again');
    this.#isUnreachable = false;
    for (const keeper of this.#keepers.values()) keeper.review();
  }

  #onBeatFailed(error: unknown): void {
    const { code, message } = SightlineError.from(error, 'INTERNAL_ERROR');
    const hasJoined = Number.isFinite(this.#answeredMs);
    if (hasJoined && !this.#isUnreachable)
      this.#options.onNotice(`heartbeat failed, streams run until their leases expire: ${message} [${code}]`);
    this.#isUnreachable = true;
    // Another host may become the leader meanwhile.
    this.#leader.resign();
  }

  /** @param handOverMs - so long streams that go to another host wait for it. */
  #applyPlan(
    plan: ReadonlyMap<string, { readonly order: StreamOrder; readonly assignment: Assignment }>,
    handOverMs: number,
  ): void {
    for (const [id, { order, assignment }] of plan) {
      if (order.isPaused) continue;
      const config = limitedConfig(order.config, assignment.maxFps);
      const keeper = this.#keepers.get(id);
      if (keeper === undefined) this.#keepers.set(id, new StreamKeeper(config, this.#keeperPort()));
      else keeper.setWanted(config);
    }
    for (const [id, keeper] of this.#keepers) {
      const planned = plan.get(id);
      if (planned?.order.isPaused !== false) keeper.setWanted(null, planned === undefined ? handOverMs : 0);
    }
  }

  #keeperPort(): ConstructorParameters<typeof StreamKeeper>[1] {
    const { control, runner, events, card, random } = this.#options;
    return {
      hostId: card.id,
      state: control.state,
      runner,
      events,
      clock: this.#clock,
      leaseEndMs: () => this.#leaseEndMs(),
      onStandsBy: (stream) => {
        const body = { hosts: [], standsBy: true };
        control.bus.publish({ topic: 'wake', hostId: card.id, stream, fence: null, body });
      },
      onFailure: (id, error) => this.#onFailure(id, error),
      onDone: ({ id }) => {
        this.#keepers.delete(id);
        if (this.#keepers.size === 0) this.#onAllDone();
      },
      ...(random === undefined ? {} : { random }),
    };
  }

  /** Ends what a removed stream has left, once its last host has stopped it or is gone. */
  async #endEvents(streamId: string, events: LeasedEvents): Promise<void> {
    const { control, card } = this.#options;
    const endMs = this.#leaseEndMs();
    try {
      const fence = await control.state.claim(streamId, card.id);
      if (fence === null) return;
      events.open(streamId, { fence, isValid: () => this.#clock.now() < endMs });
      await events.close(streamId);
      await control.state.release(streamId, card.id, fence);
    } catch {
      // The next heartbeat names it again, to this host or another.
    } finally {
      this.#ending.delete(streamId);
    }
  }

  #onFailure(stream: string, { code, message }: SightlineError): void {
    const { control, card } = this.#options;
    const body: EventMessage = {
      type: 'event',
      timeMs: Date.now(),
      kind: 'stream-warning',
      stream,
      message: `${stream} cannot run on host ${card.id}: ${message}`,
      details: { code, host: card.id },
    };
    control.bus.publish({ topic: 'events', hostId: card.id, stream, fence: this.fence(stream), body });
    this.#options.onNotice(`${body.message} [${code}]`);
  }

  /** Sends a heartbeat only if the message concerns this host, to spare Redis. */
  #onWake({ hostId, stream, body }: BusMessage): void {
    const wake = readWake(body);
    if ('complaint' in wake) {
      this.#incidents.refuse('bus-wake', 'schema', () => wake.complaint);
      return;
    }
    if (wake.body?.standsBy === true && stream !== null && hostId !== this.#options.card.id)
      this.#keepers.get(stream)?.letGo();
    const concerns =
      wake.body === null
        ? stream === null || this.#isLeader || this.#keepers.has(stream)
        : wake.body.hosts.includes(this.#options.card.id);
    if (concerns) this.#beatSoon();
  }

  #beatSoon(): void {
    if (this.#beating !== null) {
      // The heartbeat in flight may have been answered before the change.
      this.#isDue = true;
      return;
    }
    if (this.#stopSoon !== null) return;
    const waitMs = Math.max(0, this.#sentMs + WAKE_GAP_MS - this.#clock.now());
    this.#stopSoon = this.#clock.setTimer(() => {
      this.#stopSoon = null;
      if (this.#beating === null) void this.#beat();
    }, waitMs);
  }

  #leaseEndMs(): number {
    return this.#answeredMs + this.#options.leaseMs;
  }

  #card(streams: number): HostCard {
    const leaving = this.#isLeaving ? { isLeaving: true } : {};
    return { ...this.#options.card, ...this.#options.runner.report(), ...leaving, streams };
  }
}

/** @param inferenceFps - inferences a second that the fleet allows; null for the stream's own rate. */
function limitedConfig(config: StreamConfig, inferenceFps: number | null): StreamConfig {
  if (inferenceFps === null) return config;
  const maxFps = inferenceFps / viewCount(config);
  return { ...config, maxFps: Math.min(maxFps, config.maxFps ?? maxFps) };
}
