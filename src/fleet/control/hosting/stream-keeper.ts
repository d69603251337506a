import type { Clock } from '../../../base/core/clock.ts';
import type { StreamLease } from '../../../base/core/stream-lease.ts';
import { SightlineError, type WireError } from '../../../base/errors/sightline-error.ts';
import { BackOff } from '../../../base/flow/back-off.ts';
import { Pause } from '../../../base/flow/pause.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { FleetState } from '../control-plane.ts';
import type { LeasedEvents } from './leased-events.ts';
import type { StreamRunner } from './stream-runner.ts';

/** While another host still holds the lease; and once that one can stop, which is the gap in the stream. */
const CLAIM_RETRY_MS = 250;
const TAKE_OVER_RETRY_MS = 50;
const START_RETRY = { firstMs: 1_000, maxMs: 30_000 } as const;
/** Between two attempts after an error that is not retryable: an operator has to fix the cause. */
const PERMANENT_RETRY_MS = 30_000;

export type KeeperState = 'claiming' | 'starting' | 'running' | 'failed' | 'stopping';

export interface KeeperPort {
  readonly hostId: string;
  readonly state: Pick<FleetState, 'claim' | 'release'>;
  readonly runner: StreamRunner;
  /** Absent if rules report nothing. */
  readonly events: Pick<LeasedEvents, 'open' | 'leave' | 'close'> | undefined;
  readonly clock: Clock;
  /** Returns when a lease claimed now expires, on the monotonic clock; in the past while the control plane is unreachable. */
  leaseEndMs(): number;
  /** Called again and again while the next holder of the lease, which is this host, has all that it can have without it. */
  onStandsBy(streamId: string): void;
  /** Called when the stream could not be started, changed or stopped, once for each new reason. */
  onFailure(streamId: string, error: SightlineError): void;
  /** Called when the stream is stopped and its lease released. */
  onDone(keeper: StreamKeeper): void;
  readonly random?: () => number;
}

interface Lease {
  readonly fence: number;
  endMs: number;
}

/** Fence of a stream that stands by: no lease has it. */
const NO_FENCE = -1;

interface Running {
  /** Has the fence of the lease that it runs under. */
  readonly lease: StreamLease & { fence: number };
  readonly text: string;
}

/**
 * Brings one stream of a host to its wanted state, one step at a time: claim, start, change, stop, release. The wanted state
 * may change at any moment; the current step is finished first, so a stream is never started twice.
 *
 * While another host has the lease, a live stream is started all the same and stands by: it runs from the moment of the claim.
 */
export class StreamKeeper {
  readonly id: string;
  readonly #port: KeeperPort;
  readonly #backOff: BackOff;
  #wanted: StreamConfig | null;
  #lease: Lease | null = null;
  #running: Running | null = null;
  /** What cannot stand by, by its settings: it is not tried again. */
  #cannotStandBy: StreamConfig | null = null;
  /** Until when a stream that goes to another host waits for that one. */
  #handOverEndMs = Number.NEGATIVE_INFINITY;
  #state: KeeperState = 'claiming';
  #failure: WireError | null = null;
  /** Something changed since the last step was chosen. */
  #isWoken = false;
  readonly #waiting: Pause;

  constructor(config: StreamConfig, port: KeeperPort) {
    this.id = config.id;
    this.#wanted = config;
    this.#port = port;
    this.#waiting = new Pause(port.clock);
    this.#backOff = new BackOff({ ...START_RETRY, random: port.random });
    void this.#keep();
  }

  get state(): KeeperState {
    return this.#state;
  }

  /** Why the stream does not run as ordered; null if it does. */
  get failure(): WireError | null {
    return this.#failure;
  }

  /** Fence of the lease, expired or not; null without a lease. */
  get fence(): number | null {
    return this.#lease?.fence ?? null;
  }

  /** Returns false from the moment that the lease with this fence may have expired. */
  isValid(fence: number): boolean {
    return this.#lease?.fence === fence && this.#port.clock.now() < this.#lease.endMs;
  }

  /**
   * Sets the wanted configuration.
   *
   * @param config - null stops the stream and releases its lease.
   * @param handOverMs - so long it goes on first, if no `letGo` comes before.
   */
  setWanted(config: StreamConfig | null, handOverMs = 0): void {
    const isSame = config !== null && this.#wanted !== null && textOf(config) === textOf(this.#wanted);
    if (handOverMs === 0) this.#handOverEndMs = Number.NEGATIVE_INFINITY;
    else if (this.#wanted !== null) this.#handOverEndMs = this.#port.clock.now() + handOverMs;
    this.#wanted = config;
    if (isSame) return;
    this.#backOff.reset();
    this.#wake();
  }

  /** Called when the next host stands by for the stream. Does nothing if this one is to keep it. */
  letGo(): void {
    if (this.#wanted !== null) return;
    this.#handOverEndMs = Number.NEGATIVE_INFINITY;
    this.#wake();
  }

  renew(fence: number, endMs: number): void {
    if (this.#lease?.fence === fence) this.#lease.endMs = Math.max(this.#lease.endMs, endMs);
  }

  /** Called when the control plane reports the lease as lost. */
  markLost(fence: number): void {
    if (this.#lease?.fence !== fence) return;
    this.#lease = null;
    this.#wake();
  }

  /**
   * Reacts to an expired lease, a pending claim or a stream that has failed since its start. Must be called regularly.
   */
  review(): void {
    const isExpired = this.#lease !== null && !this.isValid(this.#lease.fence);
    if (isExpired || this.#state === 'claiming' || this.#runFailure() !== null) this.#wake();
  }

  #runFailure(): SightlineError | null {
    return this.#running === null ? null : this.#port.runner.failureOf(this.id);
  }

  async #keep(): Promise<void> {
    for (;;) {
      this.#isWoken = false;
      if (this.#lease !== null && !this.isValid(this.#lease.fence)) this.#lease = null;
      const failure = this.#runFailure();
      const handOverMs = this.#handOverEndMs - this.#port.clock.now();
      if (this.#running !== null && this.#wanted === null && this.#hasItsLease() && handOverMs > 0) {
        await this.#pause(handOverMs);
      } else if (this.#running !== null && (this.#wanted === null || !(this.#standsBy() || this.#hasItsLease()))) {
        await this.#stop();
      } else if (this.#wanted === null) {
        await this.#release();
        // The stream may be wanted again by the time the lease is released.
        if (this.#wanted === null) break;
      } else if (this.#lease === null) {
        this.#state = 'claiming';
        const claimed = await this.#claim();
        const isReady = claimed === 'held' && (await this.#standBy(this.#wanted));
        if (claimed !== 'claimed') await this.#pause(isReady ? TAKE_OVER_RETRY_MS : CLAIM_RETRY_MS);
      } else if (failure !== null) {
        await this.#stop();
        await this.#pause(this.#fail(failure));
      } else if (this.#running?.text === textOf(this.#wanted)) {
        this.#state = 'running';
        this.#failure = null;
        await this.#pause(null);
      } else {
        const retryMs = await this.#open(this.#wanted, this.#lease);
        if (retryMs !== null) await this.#pause(retryMs);
      }
    }
    this.#port.onDone(this);
  }

  #standsBy(): boolean {
    return this.#running?.lease.fence === NO_FENCE;
  }

  #hasItsLease(): boolean {
    return this.#lease !== null && this.#lease.fence === this.#running?.lease.fence;
  }

  /** @returns held: another host has the lease; unknown: ask again. */
  async #claim(): Promise<'claimed' | 'held' | 'unknown'> {
    const { state, hostId, clock, events } = this.#port;
    // The lease expires with the last answered heartbeat, not `leaseMs` after this call.
    const endMs = this.#port.leaseEndMs();
    if (endMs <= clock.now()) return 'unknown';
    try {
      const fence = await state.claim(this.id, hostId);
      if (fence === null) return 'held';
      this.#lease = { fence, endMs };
      if (this.#running !== null) {
        this.#running.lease.fence = fence;
        events?.open(this.id, this.#running.lease);
      }
      return 'claimed';
    } catch {
      // Redis is unreachable, or the order or this host is gone; the next heartbeat shows which.
      return 'unknown';
    }
  }

  #newLease(fence: number): Running['lease'] {
    const lease = { fence, isValid: () => this.isValid(lease.fence) };
    return lease;
  }

  /** Starts a stream whose lease another host still has. @returns whether that one can stop now, which it is told. */
  async #standBy(config: StreamConfig): Promise<boolean> {
    const { runner } = this.#port;
    if (this.#runFailure() !== null) {
      await this.#stop();
      this.#cannotStandBy = config;
    }
    if (this.#running === null && this.#cannotStandBy !== config) {
      const lease = this.#newLease(NO_FENCE);
      // What keeps it from running is reported once it has its lease.
      const isStarted = await runner.standBy(config, lease).catch(() => false);
      if (isStarted) this.#running = { lease, text: textOf(config) };
      else this.#cannotStandBy = config;
    }
    const isReady = this.#running === null || runner.hasResult(this.id);
    if (isReady) this.#port.onStandsBy(this.id);
    return isReady;
  }

  /** @returns time to wait before the next attempt; null if it succeeded. */
  async #open(config: StreamConfig, { fence }: Lease): Promise<number | null> {
    const { runner } = this.#port;
    const text = textOf(config);
    try {
      if (this.#running === null) {
        this.#state = 'starting';
        const lease = this.#newLease(fence);
        this.#port.events?.open(this.id, lease);
        await runner.start(config, lease);
        this.#running = { lease, text };
      } else {
        await runner.change(config);
        this.#running = { lease: this.#running.lease, text };
      }
      this.#backOff.reset();
      return null;
    } catch (thrown) {
      return this.#fail(thrown);
    }
  }

  /** @returns time to wait before the next attempt. */
  #fail(thrown: unknown): number {
    const error = SightlineError.from(thrown, 'INTERNAL_ERROR');
    if (this.#failure?.message !== error.message) this.#port.onFailure(this.id, error);
    this.#failure = error.toWire();
    this.#state = 'failed';
    return error.isRetryable ? this.#backOff.nextMs() : PERMANENT_RETRY_MS;
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    const { runner, events } = this.#port;
    if (this.#wanted === null) await events?.leave(this.id);
    try {
      await runner.stop(this.id);
    } catch (thrown) {
      this.#port.onFailure(this.id, SightlineError.from(thrown, 'INTERNAL_ERROR'));
    }
    await events?.close(this.id);
    this.#running = null;
  }

  async #release(): Promise<void> {
    // It is open if the stream could not be started.
    await this.#port.events?.close(this.id);
    const lease = this.#lease;
    // From here on heartbeats no longer renew it.
    this.#lease = null;
    if (lease === null) return;
    try {
      await this.#port.state.release(this.id, this.#port.hostId, lease.fence);
    } catch {
      // It expires by itself.
    }
  }

  #wake(): void {
    this.#isWoken = true;
    this.#waiting.end();
  }

  /** @param ms - null waits until `#wake`, without a timeout. */
  #pause(ms: number | null): Promise<void> {
    return this.#isWoken ? Promise.resolve() : this.#waiting.wait(ms);
  }
}

function textOf(config: StreamConfig): string {
  return JSON.stringify(config);
}
