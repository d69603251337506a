import type { StreamConfig } from '../../config/stream.ts';
import type { Clock } from '../../core/clock.ts';
import { SightlineError, type WireError } from '../../errors/sightline-error.ts';
import { BackOff } from '../../flow/back-off.ts';
import { Pause } from '../../flow/pause.ts';
import type { FleetState } from '../control-plane.ts';
import type { LeasedEvents } from './leased-events.ts';
import type { StreamRunner } from './stream-runner.ts';

/** While another host still holds the lease. */
const CLAIM_RETRY_MS = 250;
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

/**
 * Brings one stream of a host to its wanted state, one step at a time: claim, start, change, stop, release. The wanted state
 * may change at any moment; the current step is finished first, so a stream is never started twice.
 */
export class StreamKeeper {
  readonly id: string;
  readonly #port: KeeperPort;
  readonly #backOff: BackOff;
  #wanted: StreamConfig | null;
  #lease: Lease | null = null;
  #running: { readonly fence: number; readonly text: string } | null = null;
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

  /** Sets the wanted configuration. @param config - null stops the stream and releases its lease. */
  setWanted(config: StreamConfig | null): void {
    const isSame = config !== null && this.#wanted !== null && textOf(config) === textOf(this.#wanted);
    this.#wanted = config;
    if (isSame) return;
    this.#backOff.reset();
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
      if (this.#running !== null && (this.#wanted === null || this.#lease?.fence !== this.#running.fence)) {
        await this.#stop();
      } else if (this.#wanted === null) {
        await this.#release();
        // The stream may be wanted again by the time the lease is released.
        if (this.#wanted === null) break;
      } else if (this.#lease === null) {
        this.#state = 'claiming';
        if (!(await this.#claim())) await this.#pause(CLAIM_RETRY_MS);
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

  async #claim(): Promise<boolean> {
    const { state, hostId, clock } = this.#port;
    // The lease expires with the last answered heartbeat, not `leaseMs` after this call.
    const endMs = this.#port.leaseEndMs();
    if (endMs <= clock.now()) return false;
    try {
      const fence = await state.claim(this.id, hostId);
      if (fence !== null) this.#lease = { fence, endMs };
      return fence !== null;
    } catch {
      // Redis is unreachable, or the order or this host is gone; the next heartbeat shows which.
      return false;
    }
  }

  /** @returns time to wait before the next attempt; null if it succeeded. */
  async #open(config: StreamConfig, { fence }: Lease): Promise<number | null> {
    const { runner } = this.#port;
    const text = textOf(config);
    try {
      if (this.#running === null) {
        this.#state = 'starting';
        const lease = { fence, isValid: () => this.isValid(fence) };
        this.#port.events?.open(this.id, lease);
        await runner.start(config, lease);
      } else await runner.change(config);
      this.#running = { fence, text };
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
