import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Rollout, Version } from '../../../wire/protocol/rollout-records.ts';
import { scoreSlackOf } from './guards/guards.ts';
import { isControlTurn, isMember } from './membership.ts';
import { isRecordedStep } from './recorded-verdict.ts';
import { isActive, isAlone, liveVersion } from './rollout-machine.ts';
import type { RolloutTarget } from './rollout-target.ts';
import { skipsDiffer } from './stream-changes.ts';

/** Time after which a failed load is tried again. */
const RETRY_MS = 5_000;
/** Part of the usual share of frames that the control infers while the candidate is alone: its cost is to be seen. */
const ALONE_SHARE = 0.1;

export interface RolloutFollowerOptions {
  readonly target: RolloutTarget;
  /** Hash of the version that is loaded at the start. */
  readonly initial: string;
  /** How long the version that is no longer used stays loaded after a roll-out, so that `undo` takes effect at once. */
  readonly warmMs: number;
  /** Called when a version cannot be loaded, each time that it was tried. */
  readonly onFailure: (version: Version, error: SightlineError) => void;
}

/** Makes this host's streams use the versions that a record names. Called with every beat; most calls change nothing. */
export class RolloutFollower {
  readonly #options: RolloutFollowerOptions;
  readonly #loading = new Set<string>();
  /** When a version whose load failed is tried again, by hash. */
  readonly #retryMs = new Map<string, number>();
  /** Versions that are loaded for roll-outs, and the first one, by hash: no others are unloaded. */
  readonly #loaded = new Set<string>();
  /** Fence of a finished roll-out that says nothing about the version of the pipeline file; null if there is none. */
  #outdatedFence: number | null = null;
  #newest: { readonly rollout: Rollout; readonly nowMs: number } | null = null;

  constructor(options: RolloutFollowerOptions) {
    this.#options = options;
    this.#loaded.add(options.initial);
  }

  /**
   * Applies a record. Returns at once: a version that must be loaded first takes over when it is warm.
   *
   * @param nowMs - the control plane's time.
   */
  apply(rollout: Rollout, nowMs: number): void {
    if (this.#newest === null && this.#isOutdated(rollout)) this.#outdatedFence = rollout.fence;
    this.#newest = { rollout, nowMs };
    if (rollout.fence === this.#outdatedFence) return;
    const { target } = this.#options;
    const { from, to, share, shadow, shadowRatio, guards } = rollout;
    const isRunning = isActive(rollout);
    const live = liveVersion(rollout)!;
    const isWarm = !isRunning && nowMs - (rollout.endedMs ?? nowMs) < this.#options.warmMs;
    // The control first: it is what streams fall back to.
    const wanted = isRunning || isWarm ? [from, to] : [live];
    // While both are tried on recordings, the candidate is loaded in another process only.
    const isTried = isRunning && isRecordedStep(rollout);
    target.tryRecorded(isTried ? rollout : null, nowMs);
    for (const version of wanted) if ((isRunning && !isTried) || version.hash === live.hash) this.#load(version, nowMs);
    if (target.isLoaded(live.hash)) target.adopt(live.hash);
    target.compare(isRunning ? { control: from.hash, candidate: to.hash } : null);
    const alone = isAlone(rollout);
    const takesTurns = isRunning && !alone;
    const streams = target.streams();
    for (const stream of streams) {
      const isIn = isMember(stream, share);
      const cost = takesTurns && isIn ? target.turnCost(stream) : null;
      const isOthersTurn = cost !== null && isControlTurn(stream, nowMs, cost === 'reopening');
      const own = isIn && !isOthersTurn ? to : from;
      // A stream of the candidate is compared with the control, and with --shadow the other way round as well.
      const other = own === to ? from : to;
      const isCompared = isRunning && !isTried && (isIn || shadow) && target.isLoaded(other.hash);
      // Alone, frames are made for the candidate only; the control infers a few of them, if they suit it.
      if (target.isLoaded(own.hash)) target.assign(stream, own.hash, isCompared && !alone ? other.hash : null);
      // In the control's turn, frames that only the candidate skips would be compared as if it inferred them.
      const isShadowed = isCompared && (own === to || !isIn || !skipsDiffer(stream, from.streams, to.streams));
      const ratio = alone ? shadowRatio * ALONE_SHARE : shadowRatio;
      target.shadow(stream, isShadowed ? other.hash : null, ratio, scoreSlackOf(guards));
    }
    target.measureCost(alone && streams.every((stream) => target.versionOf(stream) === to.hash));
    this.#unload(new Set(wanted.map(({ hash }) => hash)));
  }

  /** A finished roll-out is about two versions. If the pipeline file names a third one, it was changed since. */
  #isOutdated(rollout: Rollout): boolean {
    const { initial } = this.#options;
    return !isActive(rollout) && rollout.from.hash !== initial && rollout.to.hash !== initial;
  }

  #load(version: Version, nowMs: number): void {
    const { target, onFailure } = this.#options;
    const { hash } = version;
    if (target.isLoaded(hash)) this.#loaded.add(hash);
    if (target.isLoaded(hash) || this.#loading.has(hash) || nowMs < (this.#retryMs.get(hash) ?? 0)) return;
    this.#loading.add(hash);
    target
      .load(version)
      .then(
        () => {
          this.#loaded.add(hash);
          this.#retryMs.delete(hash);
        },
        (error: unknown) => {
          this.#retryMs.set(hash, nowMs + RETRY_MS);
          onFailure(version, SightlineError.from(error, 'ENGINE_FAILED'));
        },
      )
      .finally(() => {
        this.#loading.delete(hash);
        const newest = this.#newest;
        if (newest !== null && target.isLoaded(hash)) this.apply(newest.rollout, newest.nowMs);
      })
      .catch((error: unknown) => onFailure(version, SightlineError.from(error, 'INTERNAL_ERROR')));
  }

  #unload(wanted: ReadonlySet<string>): void {
    const { target } = this.#options;
    const used = new Set(target.streams().map((stream) => target.versionOf(stream)));
    for (const hash of this.#loaded) {
      if (wanted.has(hash) || used.has(hash) || this.#loading.has(hash)) continue;
      this.#loaded.delete(hash);
      // A stream that is still being moved away: the next beat tries again.
      void target.unload(hash).catch(() => this.#loaded.add(hash));
    }
  }
}
