import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../../base/core/clock.ts';
import type { StageConfig } from '../../../settings/config/stages.ts';
import type { SecondStageReport } from '../../../wire/protocol/second-stage-report.ts';
import { SecondStage, type StageModel } from './second-stage.ts';

/** Settings of a second stage, and the name of its model instance. */
export interface LoadedStage {
  readonly config: StageConfig;
  readonly instance: string;
}

/** The second stages of a runtime, which all its streams share. */
export class SecondStages {
  #all: readonly SecondStage[] = [];

  /** Another list once one is replaced. */
  get all(): readonly SecondStage[] {
    return this.#all;
  }

  /** Replaces those whose settings or model are others; the rest keep their counts. Crops that wait for those are skipped. */
  use(wanted: readonly { readonly config: StageConfig; readonly model: StageModel }[]): void {
    const before = this.#all;
    this.#all = wanted.map(
      ({ config, model }) =>
        before.find((stage) => stage.model === model && isDeepStrictEqual(stage.config, config)) ??
        new SecondStage(config, model, systemClock),
    );
    for (const stage of before) if (!this.#all.includes(stage)) stage.retire();
  }

  reports(nowMs: number): readonly SecondStageReport[] {
    return this.#all.map((stage) => stage.report(nowMs));
  }
}
