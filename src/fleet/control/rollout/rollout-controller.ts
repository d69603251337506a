import { z } from 'zod';
import type { Clock } from '../../../base/core/clock.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type {
  GuardReport,
  ObservationsBody,
  RecordedObservation,
  Rollout,
  RolloutFigures,
} from '../../../wire/protocol/rollout-records.ts';
import { FullLoad, fullLoadState } from './full-load.ts';
import { LiveGain, liveGainState } from './live-gain.ts';
import { membersOf } from './membership.ts';
import { isRecordedStep, recordedReport } from './recorded-verdict.ts';
import { decide, isActive, isAlone, patienceLeftMs, rollBack, type StepEvidence } from './rollout-machine.ts';
import type { GuardPanel, GuardPanels } from './rollout-panels.ts';
import type { Evidence, RolloutStore } from './rollout-store.ts';
import { SteadyEstimate } from './steady-estimate.ts';
import { leftMsOf, waitingFor } from './waiting-for.ts';

export interface RolloutControllerOptions {
  readonly store: RolloutStore;
  readonly panels: GuardPanels;
  readonly hostId: string;
  /** Names of all streams of the pipeline, on all hosts. */
  readonly streams: () => readonly string[];
  /** Ids of all hosts that run the pipeline. */
  readonly hosts: () => readonly string[];
  readonly onNotice: (text: string) => void;
  readonly clock: Clock;
}

/** Characters of a snapshot that may be saved a second: that of 12 streams has less than a million, and 200 streams must not block. */
const SNAPSHOT_CHARS_PER_S = 100_000;

/** While a step waits, the log says so this often. */
const NOTE_MS = 60_000;

/** What a snapshot is saved as. */
const savedEvidence = z.object({
  rollout: z.string(),
  step: z.number(),
  frames: z.number(),
  panel: z.unknown(),
  load: fullLoadState.optional(),
  gain: liveGainState.optional(),
});

/** The evidence of one step, while this host is the controller. */
interface Watch {
  readonly id: string;
  readonly step: number;
  readonly panel: GuardPanel;
  /** Percentage of the streams at this step. */
  readonly share: number;
  /** The candidate carries all streams, without the control beside it. */
  readonly isAlone: boolean;
  /** The side whose rate the candidate must attain alone: the control, unless the candidate takes fewer frames on purpose. */
  readonly reference: 'control' | 'candidate';
  readonly load: FullLoad;
  readonly gain: LiveGain;
  /** Percentage of the streams at the next step; these must have a baseline. 0 at the last step. */
  readonly nextShare: number;
  /** In the step that tries both on recordings: what judges them, and what each host has found. */
  readonly recorded: Pick<Rollout, 'guards' | 'stepStartedMs'> | null;
  readonly foundBy: Map<string, RecordedObservation>;
  frames: number;
  failure: string | null;
  /** Of the time until the step is decided, and the newest value. */
  readonly estimate: SteadyEstimate;
  leftMs: number | null;
  /** When the log says again what is awaited, by the control plane's clock. */
  nextNoteMs: number;
  /** Since when the step has no stream, by the control plane's clock; null if it has some. */
  emptySinceMs: number | null;
  /** When the snapshot is saved again, by the control plane's clock. */
  nextSaveMs: number;
}

/**
 * Decides for a pipeline while this host is the controller: collects what the hosts observe and moves the roll-out on. Its
 * evidence is saved every second, or less often where it is large, so that another controller continues where this one ended.
 */
export class RolloutController {
  readonly #options: RolloutControllerOptions;
  #watch: Watch | null = null;
  /** Streams that use the candidate now. Without any, the frames that both versions inferred count as evidence. */
  #members = 0;
  /** Hosts that have the candidate of a roll-out loaded. */
  #loaded = { rollout: '', on: new Set<string>() };
  /** Time of the control plane at the last round. */
  #nowMs = 0;
  /** The last evidence could not be saved. */
  #isUnsaved = false;

  constructor(options: RolloutControllerOptions) {
    this.#options = options;
  }

  /** Called when another host is the controller: the evidence would be outdated if this host became it again. */
  resign(): void {
    this.#watch = null;
    this.#loaded = { rollout: '', on: new Set() };
  }

  /** Takes what a host observed. Observations of another step are left out. */
  observe({ rollout, step, observations, failure, isLoaded }: ObservationsBody, hostId: string): void {
    const watch = this.#watch;
    if (watch === null || watch.id !== rollout) return;
    if (this.#loaded.rollout !== rollout) this.#loaded = { rollout, on: new Set() };
    if (isLoaded === true) this.#loaded.on.add(hostId);
    else if (isLoaded === false) this.#loaded.on.delete(hostId);
    watch.failure ??= failure;
    if (watch.step !== step) return;
    for (const observation of observations) {
      if ('recorded' in observation) {
        watch.foundBy.set(hostId, observation);
        continue;
      }
      if ('costOf' in observation) {
        watch.gain.add(observation);
        continue;
      }
      if ('side' in observation) {
        const usualMs = watch.panel.usualLatencyOf(observation.stream);
        watch.load.add(observation, watch.isAlone, watch.reference, usualMs, this.#nowMs);
      }
      watch.panel.observe(observation);
      if ('control' in observation) watch.frames += this.#members === 0 ? 1 : 0;
      else if ('side' in observation && observation.side === 'candidate' && this.#members > 0)
        watch.frames += observation.frames;
    }
  }

  /** What is known in this step; null if this host is not the controller. */
  figures(): RolloutFigures | null {
    if (this.#watch === null) return null;
    const { id, step, share, frames, panel, nextShare, isAlone, load, gain, recorded, foundBy, leftMs } = this.#watch;
    const streams = this.#options.streams();
    const next = membersOf(streams, nextShare);
    const unready = panel.withoutBaseline(next);
    const abandoned = panel.abandoned(next).length;
    const silent = panel.silent(membersOf(streams, share)).length;
    const baseline = { unready: unready.length, readyInMs: panel.readyInMs(unready), abandoned };
    const reports =
      recorded !== null
        ? [this.#recordedReport(recorded, foundBy)]
        : [
            ...panel.reports(streams.length === 0 ? undefined : streams),
            ...(isAlone ? [load.report(this.#nowMs)] : []),
          ];
    const loadedOn = this.#loaded.rollout === id ? [...this.#loaded.on] : [];
    return { rollout: id, step, frames, ...baseline, silent, leftMs, gain: gain.gain, loadedOn, reports };
  }

  #recordedReport({ guards, stepStartedMs }: NonNullable<Watch['recorded']>, found: Watch['foundBy']): GuardReport {
    const { hosts, streams } = this.#options;
    const elapsedMs = this.#nowMs - stepStartedMs;
    return recordedReport(guards, { found, hosts: hosts(), streams: streams(), elapsedMs });
  }

  /**
   * Decides once.
   *
   * @returns whether the record was changed. A change that another one preceded is dropped: the next round sees that one.
   */
  async round(rollout: Rollout, nowMs: number): Promise<boolean> {
    if (!isActive(rollout)) {
      this.#watch = null;
      return false;
    }
    this.#nowMs = nowMs;
    const { store, hostId } = this.#options;
    const watch = await this.#watchOf(rollout);
    const streams = this.#options.streams();
    // A host that has just started knows none yet. That is not a step without streams, which needs less evidence.
    this.#members = streams.length === 0 ? 1 : membersOf(streams, rollout.share).length;
    const raw = this.figures()!;
    watch.leftMs = watch.estimate.update(leftMsOf(rollout, this.#members, raw, nowMs), nowMs);
    const figures = { ...raw, leftMs: watch.leftMs };
    watch.emptySinceMs = this.#members === 0 ? (watch.emptySinceMs ?? nowMs) : null;
    const needsControl = watch.isAlone && watch.load.needsControl;
    const evidence = { ...figures, emptyMs: nowMs - (watch.emptySinceMs ?? nowMs), needsControl };
    const actor = { who: hostId, nowMs, evidence };
    const change =
      watch.failure === null ? decide(rollout, this.#members, actor) : rollBack(rollout, watch.failure, actor);
    if (change !== null) return (await store.change(change, rollout.fence, hostId)) !== null;
    this.#note(watch, rollout, evidence, nowMs);
    await this.#save({ figures, snapshot: nowMs < watch.nextSaveMs ? null : snapshotOf(watch, nowMs) });
    return false;
  }

  /** Says each minute what is awaited, for how long, and until when at most. */
  #note(watch: Watch, rollout: Rollout, evidence: StepEvidence, nowMs: number): void {
    if (nowMs < watch.nextNoteMs) return;
    const isFirst = watch.nextNoteMs === 0;
    watch.nextNoteMs = nowMs + NOTE_MS;
    if (isFirst) return;
    const streams = { members: this.#members, streams: Math.max(1, this.#options.streams().length) };
    const most = new Date(nowMs + Math.max(0, patienceLeftMs(rollout, nowMs))).toISOString().slice(0, 16);
    const until = rollout.heldBy === null ? ` It waits until ${most}Z at most.` : '';
    this.#options.onNotice(
      `roll-out ${rollout.id} at ${rollout.share} %: ${waitingFor(rollout, streams, evidence, nowMs)}${until}`,
    );
  }

  /** Evidence is saved for other controllers. This one goes on without: it must be able to roll back. */
  async #save(evidence: Evidence): Promise<void> {
    const { store, hostId, onNotice } = this.#options;
    try {
      await store.saveEvidence(hostId, evidence);
      this.#isUnsaved = false;
    } catch (error) {
      const { code, message } = SightlineError.from(error, 'INTERNAL_ERROR');
      if (!this.#isUnsaved) onNotice(`the evidence of the roll-out cannot be saved: ${message} [${code}]`);
      this.#isUnsaved = true;
    }
  }

  async #watchOf(rollout: Rollout): Promise<Watch> {
    const { id, step, steps, share } = rollout;
    const before = this.#watch;
    if (before?.id === id && before.step === step) return before;
    const nextShare = steps[step + 1] ?? 0;
    const fixed = {
      id,
      step,
      share,
      isAlone: isAlone(rollout),
      failure: null,
      emptySinceMs: null,
      nextSaveMs: 0,
      estimate: new SteadyEstimate(),
      leftMs: null,
      nextNoteMs: 0,
      reference: changesRate(rollout) ? ('candidate' as const) : ('control' as const),
      // Streams that use the candidate already need no baseline for the next step.
      nextShare: nextShare > share ? nextShare : 0,
      recorded: isRecordedStep(rollout) ? rollout : null,
      foundBy: new Map(),
    };
    const evidence = before?.id === id ? { ...before, frames: 0 } : null;
    if (evidence !== null) this.#begin(evidence, fixed.isAlone);
    this.#watch = { ...(evidence ?? (await this.#restored(rollout))), ...fixed };
    return this.#watch;
  }

  #begin({ panel, load }: Collected, alone: boolean): void {
    panel.reset(alone);
    load.begin(alone, this.#nowMs);
  }

  /** A snapshot of another version of Sightline may not be readable: then the step collects its evidence anew. */
  async #restored(rollout: Rollout): Promise<Collected> {
    const { panels, store, clock } = this.#options;
    // Hosts only agree on the time of the control plane. From here on the clock of the panel runs by itself: a clock that is set
    // must not change what the evidence says.
    const aheadMs = this.#nowMs - clock.now();
    const nowMs = (): number => clock.now() + aheadMs;
    const text = (await store.evidence())?.snapshot ?? null;
    try {
      const saved = savedEvidence.parse(JSON.parse(text ?? 'null'));
      if (saved.rollout === rollout.id) {
        const { frames, load, gain } = saved;
        const panel = panels.open(rollout, saved.panel, nowMs);
        const collected = { panel, frames, load: new FullLoad(rollout.guards, load), gain: new LiveGain(gain) };
        if (saved.step === rollout.step) return collected;
        this.#begin(collected, isAlone(rollout));
        return { ...collected, frames: 0 };
      }
    } catch {
      // Nothing to continue from.
    }
    return {
      panel: panels.open(rollout, null, nowMs),
      frames: 0,
      load: new FullLoad(rollout.guards),
      gain: new LiveGain(),
    };
  }
}

/** The evidence of a step. */
type Collected = Pick<Watch, 'panel' | 'frames' | 'load' | 'gain'>;

/** Returns whether the versions take frames of the streams at different rates. */
function changesRate({ from, to }: Rollout): boolean {
  const patches = [from, to].flatMap(({ streams }) =>
    streams === undefined ? [] : [streams.all, ...Object.values(streams.byId)],
  );
  return patches.some((patch) => 'every' in patch || 'maxFps' in patch);
}

/** Serialises the evidence. Small snapshots are saved in every round, large ones less often. */
function snapshotOf(watch: Watch, nowMs: number): string {
  const { id: rollout, step, frames, panel, load, gain } = watch;
  const parts = { panel: panel.snapshot(), load: load.state, gain: gain.state };
  const text = JSON.stringify({ rollout, step, frames, ...parts });
  watch.nextSaveMs = text.length < SNAPSHOT_CHARS_PER_S ? 0 : nowMs + (1000 * text.length) / SNAPSHOT_CHARS_PER_S;
  return text;
}
