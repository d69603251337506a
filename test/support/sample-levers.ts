import type { LeverWords } from '../../src/optimize/report/report-input.ts';
import type { LeverId } from '../../src/optimize/result.ts';

/** What each lever does and takes, as the report shows it. */
export const LEVER_WORDS: Readonly<Record<LeverId, LeverWords>> = {
  model: {
    sentence: 'Another network with the same classes.',
    effort: 'one setting',
    risk: 'finds other objects: judged by the gate',
  },
  precision: {
    sentence: 'The number format that the engine computes in.',
    effort: 'one setting',
    risk: 'small changes of scores: judged by the gate',
  },
  inputSize: {
    sentence: 'Width and height of the picture that the network sees.',
    effort: 'one setting',
    risk: 'small objects: judged by the gate',
  },
  engine: {
    sentence: 'The engine is the library that runs the network.',
    effort: 'one setting, a library to set up',
    risk: 'low',
  },
  inferenceThreads: {
    sentence: 'Inference threads run the network at the same time, one frame each.',
    effort: 'one setting',
    risk: 'low',
  },
  lanes: { sentence: 'Lanes read and prepare frames beside each other.', effort: 'one setting', risk: 'low' },
  decodeThreads: { sentence: 'Decoder threads share the decoding of one stream.', effort: 'one setting', risk: 'low' },
  maxBatch: {
    sentence: 'A batch lets one call of the engine infer several frames.',
    effort: 'one setting',
    risk: 'latency',
  },
  maxDelayMs: { sentence: 'A batch waits this long for more frames.', effort: 'one setting', risk: 'latency' },
  resizeBy: {
    sentence: 'Frames are resized by ffmpeg before its pipe, or by sharp after it.',
    effort: 'one setting',
    risk: 'small changes of pixels: judged by the gate',
  },
  hwaccel: {
    sentence: 'A hardware decoder decodes the video.',
    effort: 'a driver to set up',
    risk: 'falls back to software',
  },
  skipUnchanged: {
    sentence: 'Frames that equal the one before are not inferred.',
    effort: 'one setting',
    risk: 'late boxes: judged by the gate',
  },
  trackBetween: {
    sentence: 'The tracker carries boxes over frames that are not inferred.',
    effort: 'one setting',
    risk: 'late boxes: judged by the gate',
  },
};
