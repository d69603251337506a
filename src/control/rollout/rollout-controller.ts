import type { ObservationsBody, Rollout, RolloutFigures } from '../../protocol/rollout-records.ts';
import type { GuardPanel, GuardPanels } from './guard-panel.ts';
import { membersOf } from './membership.ts';
import { decide, isActive, rollBack } from './rollout-machine.ts';
import type { RolloutStore } from './rollout-store.ts';

export interface RolloutControllerOptions {
  readonly store: RolloutStore;
  readonly panels: GuardPanels;
  readonly hostId: string;
  /** Names of all streams of the pipeline, on all hosts. */
  readonly streams: () => readonly string[];
}

/** The evidence of one step, while this host is the controller. */
interface Watch {
  readonly id: string;
  readonly step: number;
  readonly panel: GuardPanel;
  /** Percentage of the streams at the next step; these must have a baseline. 0 at the last step. */
  readonly nextShare: number;
  frames: number;
  failure: string | null;
}

/**
 * Decides for a pipeline while this host is the controller: collects what the hosts observe and moves the roll-out on. Its
 * evidence is saved once a second, so that another controller continues where this one ended.
 */
export class RolloutController {
  readonly #options: RolloutControllerOptions;
  #watch: Watch | null = null;
  /** Streams that use the candidate now. Without any, the frames that both versions inferred count as evidence. */
  #members = 0;

  constructor(options: RolloutControllerOptions) {
    this.#options = options;
  }

  /** Called when another host is the controller: the evidence would be outdated if this host became it again. */
  resign(): void {
    this.#watch = null;
  }

  /** Takes what a host observed. Observations of another step are left out. */
  observe({ rollout, step, observations, failure }: ObservationsBody): void {
    const watch = this.#watch;
    if (watch === null || watch.id !== rollout) return;
    if (failure !== null) watch.failure ??= failure;
    if (watch.step !== step) return;
    for (const observation of observations) {
      watch.panel.observe(observation);
      if ('control' in observation) watch.frames += this.#members === 0 ? 1 : 0;
      else if ('side' in observation && observation.side === 'candidate' && this.#members > 0)
        watch.frames += observation.frames;
    }
  }

  /** What is known in this step; null if this host is not the controller. */
  figures(): RolloutFigures | null {
    if (this.#watch === null) return null;
    const { id, step, frames, panel, nextShare } = this.#watch;
    const next = membersOf(this.#options.streams(), nextShare);
    return { rollout: id, step, frames, unready: panel.withoutBaseline(next).length, reports: panel.reports() };
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
    const { store, hostId } = this.#options;
    const watch = await this.#watchOf(rollout);
    this.#members = membersOf(this.#options.streams(), rollout.share).length;
    const figures = this.figures()!;
    const actor = { who: hostId, nowMs, evidence: figures };
    const change =
      watch.failure === null ? decide(rollout, this.#members, actor) : rollBack(rollout, watch.failure, actor);
    if (change !== null) return (await store.change(change, rollout.fence, hostId)) !== null;
    await store.saveEvidence(hostId, { figures, snapshot: JSON.stringify(watch.panel.snapshot()) });
    return false;
  }

  async #watchOf(rollout: Rollout): Promise<Watch> {
    const { id, step } = rollout;
    const nextShare = rollout.steps[step + 1] ?? 0;
    const before = this.#watch;
    if (before?.id === id && before.step === step) return before;
    if (before?.id === id) {
      before.panel.reset();
      this.#watch = { id, step, panel: before.panel, nextShare, frames: 0, failure: null };
      return this.#watch;
    }
    const { store, panels } = this.#options;
    const saved = await store.evidence();
    const isOfThis = saved?.figures.rollout === id;
    const panel = isOfThis ? this.#restored(rollout, saved.snapshot) : panels.open(rollout, null);
    const isOfStep = isOfThis && saved.figures.step === step;
    if (isOfThis && !isOfStep) panel.reset();
    this.#watch = { id, step, panel, nextShare, frames: isOfStep ? saved.figures.frames : 0, failure: null };
    return this.#watch;
  }

  /** A snapshot of another version of Sightline may not be readable: then the step collects its evidence anew. */
  #restored(rollout: Rollout, snapshot: string): GuardPanel {
    const { panels } = this.#options;
    try {
      return panels.open(rollout, JSON.parse(snapshot));
    } catch {
      return panels.open(rollout, null);
    }
  }
}
