import type { Ffmpeg } from '../../../base/process/confinement.ts';
import type { CropReader } from '../../../frame/runtime/stages/look-group.ts';
import type { StageConfig } from '../../../settings/config/stages.ts';
import type { Admission } from '../orders/admission.ts';
import type { SegmentRunner } from './segment-runner.ts';

/** What a host provides to run the tasks of jobs. */
export interface JobTools {
  readonly admission: Admission;
  readonly ffmpeg: Ffmpeg;
  readonly runner: SegmentRunner;
  /**
   * Lends the second stages of an order, loaded, to a task.
   *
   * @throws CONFIG_INVALID if they do not fit the detector; HOST_UNFIT if another host may have what this one lacks; what loading throws.
   */
  readonly lendStages: <T>(
    stages: readonly StageConfig[],
    use: (loaded: readonly CropReader[]) => Promise<T>,
  ) => Promise<T>;
  /** Receives a sentence when a file must be inferred as a whole. */
  readonly onNotice: (text: string) => void;
}

/** What a task has. */
export interface TaskTools extends Omit<JobTools, 'lendStages'> {
  /** The second stages of its order. */
  readonly stages: readonly CropReader[];
}
