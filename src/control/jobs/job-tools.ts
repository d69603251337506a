import type { Ffmpeg } from '../../process/confinement.ts';
import type { Admission } from '../orders/admission.ts';
import type { SegmentRunner } from './segment-runner.ts';

/** What a host provides to run the tasks of jobs. */
export interface JobTools {
  readonly admission: Admission;
  readonly ffmpeg: Ffmpeg;
  readonly runner: SegmentRunner;
  /** Receives a sentence when a file must be inferred as a whole. */
  readonly onNotice: (text: string) => void;
}
