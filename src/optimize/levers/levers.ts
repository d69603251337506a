import type { LeverId } from '../result.ts';

/** What a roadmap says about a lever. */
export interface Lever {
  /** A sentence for people who have not read the code. */
  readonly does: string;
  readonly effort: 'minutes' | 'hours' | 'days';
  readonly risk: 'none' | 'low' | 'medium' | 'high';
  readonly riskReason: string;
  /** Whether detections may change: then the quality gate decides first. */
  readonly affectsDetections: boolean;
}

export const LEVERS: Readonly<Record<LeverId, Lever>> = {
  model: {
    does: 'Uses another detector with the same classes.',
    effort: 'hours',
    risk: 'medium',
    riskReason: 'Another network misses other objects; thresholds of alarms may need a new value.',
    affectsDetections: true,
  },
  engine: {
    does: 'Runs the network with another library.',
    effort: 'minutes',
    risk: 'low',
    riskReason: 'Results differ in the last digits; the library must be installed on every host.',
    affectsDetections: true,
  },
  precision: {
    does: 'Computes in a shorter number format.',
    effort: 'minutes',
    risk: 'low',
    riskReason: 'Scores move a little; INT8 can lose whole objects and must be judged on pictures of its own.',
    affectsDetections: true,
  },
  inputSize: {
    does: "Gives the network a smaller or larger picture, or one with the stream's aspect.",
    effort: 'minutes',
    risk: 'medium',
    riskReason: 'A smaller picture loses small objects first.',
    affectsDetections: true,
  },
  inferenceThreads: {
    does: 'Runs several inferences at the same time.',
    effort: 'minutes',
    risk: 'none',
    riskReason: 'Each thread needs its own copy of the network in memory.',
    affectsDetections: false,
  },
  lanes: {
    does: 'Reads and preprocesses streams on more or fewer threads.',
    effort: 'minutes',
    risk: 'none',
    riskReason: 'Results are the same.',
    affectsDetections: false,
  },
  decodeThreads: {
    does: 'Lets ffmpeg decode one stream on several cores.',
    effort: 'minutes',
    risk: 'none',
    riskReason: 'Frames are the same; each thread delays a live stream by one frame.',
    affectsDetections: false,
  },
  maxBatch: {
    does: 'Infers several frames in one call.',
    effort: 'minutes',
    risk: 'low',
    riskReason: 'Latency grows, because a frame waits for the others.',
    affectsDetections: false,
  },
  maxDelayMs: {
    does: 'Limits how long a frame waits for others to join its batch.',
    effort: 'minutes',
    risk: 'low',
    riskReason: 'A longer wait is added to the latency of every frame.',
    affectsDetections: false,
  },
  resizeBy: {
    does: "Lets ffmpeg fit pictures into the model's input while it decodes, instead of sharp from full pictures.",
    effort: 'minutes',
    risk: 'low',
    riskReason: 'ffmpeg interpolates differently from how the model was trained.',
    affectsDetections: true,
  },
  hwaccel: {
    does: 'Decodes video on a GPU or a media engine.',
    effort: 'hours',
    risk: 'medium',
    riskReason: 'Drivers differ between hosts; ffmpeg falls back to software with a warning.',
    affectsDetections: true,
  },
  skipUnchanged: {
    does: 'Repeats the last result while the picture does not change.',
    effort: 'minutes',
    risk: 'medium',
    riskReason: 'A change below the noise threshold is seen late.',
    affectsDetections: true,
  },
  trackBetween: {
    does: 'Infers every n-th frame and lets the tracker predict the boxes between.',
    effort: 'minutes',
    risk: 'medium',
    riskReason: 'A new object appears up to n - 1 frames late.',
    affectsDetections: true,
  },
};

export const LEVER_IDS = Object.keys(LEVERS) as readonly LeverId[];
