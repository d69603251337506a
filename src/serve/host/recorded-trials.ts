import { Archive } from '../../after/recording/archive.ts';
import { type ExportedSpan, iso } from '../../after/recording/recorded-span.ts';
import { recordingsIn } from '../../after/recording/spans.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { recordedSettingsOf } from '../../fleet/control/rollout/recorded-verdict.ts';
import { withChanges } from '../../fleet/control/rollout/stream-changes.ts';
import { loadConfigured } from '../../frame/runtime/model/load-detector.ts';
import { runInChild } from '../../frame/runtime/model/run-in-child.ts';
import type { ModelRoots } from '../../network/store/admit-model.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { RecordedFinding, RecordedObservation, Rollout, Version } from '../../wire/protocol/rollout-records.ts';

/** Two versions on one recorded stream, as plain data for a process. */
export interface RecordedTrialJob extends ExportedSpan {
  readonly folder: string;
  readonly stream: string;
  readonly candidate: RecordedSide;
  readonly control: RecordedSide;
  readonly environment: Environment;
}

export interface RecordedSide {
  readonly model: ModelConfig;
  /** Settings of the stream under the version, without id and source. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface RecordedTrialsOptions {
  /** The folder of recordings of this host. */
  readonly folder: string;
  readonly environment: Environment;
  readonly modelRoots: ModelRoots;
  /** Streams of the detector that this host runs now, without what a version changes. */
  readonly streams: () => readonly StreamConfig[];
}

interface Trial {
  readonly id: string;
  readonly stop: AbortController;
  readonly found: Map<string, RecordedFinding>;
  isBusy: boolean;
}

/**
 * Tries the versions of a roll-out on what this host has recorded: one stream after the other, each in a process of low priority, which
 * takes no turn from live streams.
 */
export class RecordedTrials {
  readonly #options: RecordedTrialsOptions;
  #trial: Trial | null = null;

  constructor(options: RecordedTrialsOptions) {
    this.#options = options;
  }

  /**
   * Called with every beat: begins, goes on with the next stream, or ends.
   *
   * @param rollout - null ends it. @param nowMs - the control plane's time.
   * @returns what was found so far; null without a roll-out.
   */
  follow(rollout: Rollout | null, nowMs: number): RecordedObservation | null {
    if (rollout?.id !== this.#trial?.id) {
      this.#trial?.stop.abort();
      this.#trial =
        rollout === null ? null : { id: rollout.id, stop: new AbortController(), found: new Map(), isBusy: false };
    }
    const trial = this.#trial;
    if (trial === null || rollout === null) return null;
    if (nowMs - rollout.stepStartedMs >= recordedSettingsOf(rollout.guards).limitMs) trial.stop.abort();
    const next = this.#options.streams().find(({ id }) => !trial.found.has(id));
    const isDone = next === undefined || trial.stop.signal.aborted;
    if (!isDone && !trial.isBusy) void this.#try(next, rollout, trial);
    return { recorded: [...trial.found.values()], isDone };
  }

  close(): void {
    this.#trial?.stop.abort();
  }

  /** Never rejects. */
  async #try(config: StreamConfig, rollout: Rollout, trial: Trial): Promise<void> {
    trial.isBusy = true;
    const { signal } = trial.stop;
    const finding = await this.#find(config, rollout, signal).catch((error: unknown) => {
      const { code, message } = SightlineError.from(error, 'INTERNAL_ERROR');
      return without(config.id, 'failed', `${message} [${code}]`);
    });
    // What was stopped says nothing.
    if (!signal.aborted) trial.found.set(config.id, finding);
    trial.isBusy = false;
  }

  async #find(config: StreamConfig, { from, to, recorded }: Rollout, signal: AbortSignal): Promise<RecordedFinding> {
    const { folder, environment, modelRoots } = this.#options;
    const { id: stream, events } = config;
    const span = recorded!;
    if (!events.some(({ kind }) => kind !== 'picture' && kind !== 'stream'))
      return without(stream, 'none', 'it has no rules that recordings can show.');
    const files = recordingsIn((await Archive.read(folder)).files, { stream, ...span });
    if (!files.some(({ isOpen }) => !isOpen))
      return without(stream, 'none', `this host has no recordings of ${iso(span.fromMs)} to ${iso(span.toMs)}.`);
    // A record comes over the network.
    for (const { model } of [from, to]) await loadConfigured(model, environment, modelRoots);
    const job: RecordedTrialJob = {
      folder,
      stream,
      ...span,
      candidate: sideOf(config, to),
      control: sideOf(config, from),
      environment: { ...environment, token: undefined, redisUrl: undefined, fleetKeys: undefined, variables: {} },
    };
    const what = `stream ${stream}: the process that tries versions on its recordings`;
    return runInChild('recorded-trial.process', job, what, { signal });
  }
}

function sideOf(config: StreamConfig, { model, streams }: Version): RecordedSide {
  // The detector is that of the version; second stages do not run on recordings.
  const { id: _id, source: _source, model: _model, stages: _stages, ...settings } = withChanges(config, streams);
  return { model, settings };
}

function without(stream: string, state: 'none' | 'failed', reason: string): RecordedFinding {
  return { stream, state, reason, frames: 0, before: 0, lost: 0, after: 0, gained: 0 };
}
