import type { Admission } from '../orders/admission.ts';
import type { SegmentRunner } from './segment-runner.ts';

/** What the tasks of jobs are done with on one host. */
export interface JobTools {
  readonly admission: Admission;
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly runner: SegmentRunner;
  /** Is told in a sentence what turned out slower than planned. */
  readonly onNotice: (text: string) => void;
}
