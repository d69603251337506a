import type { StreamConfig } from '../../config/stream.ts';
import type { Clock } from '../../core/clock.ts';
import { SightlineError, type WireError } from '../../errors/sightline-error.ts';
import { BackOff } from '../../source/back-off.ts';
import type { FleetState } from '../control-plane.ts';
import type { StreamRunner } from './stream-runner.ts';

/** While another host still holds the lease. */
const CLAIM_RETRY_MS = 250;
const START_RETRY = { firstMs: 1_000, maxMs: 30_000 } as const;
/** Between two attempts at something that cannot work until somebody changes it. */
const HOPELESS_RETRY_MS = 30_000;

export type KeeperState = 'claiming' | 'starting' | 'running' | 'failed' | 'stopping';

export interface KeeperPort {
  readonly hostId: string;
  readonly state: Pick<FleetState, 'claim' | 'release'>;
  readonly runner: StreamRunner;
  readonly clock: Clock;
  /** When a lease that is got now runs out, on the monotonic clock; in the past while the control plane is away. */
  leaseEndMs(): number;
  /** It could not be started or changed; told once for each new reason. */
  onFailure(streamId: string, error: SightlineError): void;
  /** The stream is stopped and its lease given back: nothing is left to keep. */
  onDone(keeper: StreamKeeper): void;
  readonly random?: () => number;
}

interface Lease {
  readonly fence: number;
  endMs: number;
}

/**
 * Brings one stream of a host to where it should be, one step after the other: claim, start, change, stop, release. What
 * is wanted may change at any moment; a step that is under way is finished first, so no stream is ever started twice.
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
  /** Something changed since the last look. */
  #isPoked = false;
  #endPause: (() => void) | null = null;

  constructor(config: StreamConfig, port: KeeperPort) {
    this.id = config.id;
    this.#wanted = config;
    this.#port = port;
    this.#backOff = new BackOff({ ...START_RETRY, ...(port.random === undefined ? {} : { random: port.random }) });
    void this.#keep();
  }

  get state(): KeeperState {
    return this.#state;
  }

  /** Why it does not run as ordered; null where it does. */
  get failure(): WireError | null {
    return this.#failure;
  }

  /** Fence of the lease that is held, expired or not; null where none is. */
  get fence(): number | null {
    return this.#lease?.fence ?? null;
  }

  /** False from the moment that the lease with this fence may have run out. */
  isValid(fence: number): boolean {
    return this.#lease?.fence === fence && this.#port.clock.now() < this.#lease.endMs;
  }

  /** @param config - null ends it. */
  want(config: StreamConfig | null): void {
    const isSame = config !== null && this.#wanted !== null && textOf(config) === textOf(this.#wanted);
    this.#wanted = config;
    if (isSame) return;
    this.#backOff.reset();
    this.#poke();
  }

  renew(fence: number, endMs: number): void {
    if (this.#lease?.fence === fence) this.#lease.endMs = Math.max(this.#lease.endMs, endMs);
  }

  /** The control plane says that the lease is gone. */
  lose(fence: number): void {
    if (this.#lease?.fence !== fence) return;
    this.#lease = null;
    this.#poke();
  }

  /**
   * Ends what runs under a lease that has run out, claims where that can be done again, and sees what has failed since it was
   * started. To be called now and then.
   */
  look(): void {
    const isExpired = this.#lease !== null && !this.isValid(this.#lease.fence);
    if (isExpired || this.#state === 'claiming' || this.#brokenBy() !== null) this.#poke();
  }

  #brokenBy(): SightlineError | null {
    return this.#running === null ? null : this.#port.runner.failureOf(this.id);
  }

  async #keep(): Promise<void> {
    for (;;) {
      this.#isPoked = false;
      if (this.#lease !== null && !this.isValid(this.#lease.fence)) this.#lease = null;
      const broken = this.#brokenBy();
      if (this.#running !== null && (this.#wanted === null || this.#lease?.fence !== this.#running.fence)) {
        await this.#stop();
      } else if (this.#wanted === null) {
        await this.#release();
        // Somebody may have wanted it again while the lease was on its way back.
        if (this.#wanted === null) break;
      } else if (this.#lease === null) {
        this.#state = 'claiming';
        if (!(await this.#claim())) await this.#pause(CLAIM_RETRY_MS);
      } else if (broken !== null) {
        await this.#stop();
        await this.#pause(this.#fail(broken));
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
    // The lease will end with the host's newest heartbeat that is known to have arrived, not with this call.
    const endMs = this.#port.leaseEndMs();
    if (endMs <= clock.now()) return false;
    try {
      const fence = await state.claim(this.id, hostId);
      if (fence !== null) this.#lease = { fence, endMs };
      return fence !== null;
    } catch {
      // Nobody answers, or the order is gone, or this host is; the next heartbeat will tell which.
      return false;
    }
  }

  /** @returns time to wait before the next attempt; null where it worked. */
  async #open(config: StreamConfig, { fence }: Lease): Promise<number | null> {
    const { runner } = this.#port;
    const text = textOf(config);
    try {
      if (this.#running === null) {
        this.#state = 'starting';
        await runner.start(config, { fence, isValid: () => this.isValid(fence) });
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
    return error.isRetryable ? this.#backOff.nextMs() : HOPELESS_RETRY_MS;
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    try {
      await this.#port.runner.stop(this.id);
    } catch (thrown) {
      this.#port.onFailure(this.id, SightlineError.from(thrown, 'INTERNAL_ERROR'));
    }
    this.#running = null;
  }

  async #release(): Promise<void> {
    const lease = this.#lease;
    // From here on no heartbeat renews it.
    this.#lease = null;
    if (lease === null) return;
    try {
      await this.#port.state.release(this.id, this.#port.hostId, lease.fence);
    } catch {
      // It runs out by itself.
    }
  }

  #poke(): void {
    this.#isPoked = true;
    this.#endPause?.();
  }

  /** @param ms - null waits for a poke alone. */
  #pause(ms: number | null): Promise<void> {
    if (this.#isPoked) return Promise.resolve();
    return new Promise((resolve) => {
      const stopTimer = ms === null ? () => {} : this.#port.clock.setTimer(() => this.#endPause?.(), ms);
      this.#endPause = () => {
        this.#endPause = null;
        stopTimer();
        resolve();
      };
    });
  }
}

function textOf(config: StreamConfig): string {
  return JSON.stringify(config);
}
