import type { Environment } from '../../config/environment.ts';
import type { PipelineConfig } from '../../config/pipeline.ts';
import type { StreamConfig } from '../../config/stream.ts';
import type { FfmpegBinary } from '../../decode/ffmpeg-binary.ts';
import type { CocoAnnotations } from '../../evaluate/coco-dataset.ts';
import {
  type CollectedResults,
  type CollectOptions,
  collectOnImages,
  collectOnVideo,
} from '../gate/collect-results.ts';
import type { GateVerdict } from '../gate/gate-verdict.ts';
import { judge } from '../gate/judge.ts';
import { apply } from '../levers/apply-configuration.ts';
import { skipsWork } from '../levers/search-space.ts';
import type { Configuration } from '../result.ts';
import type { Quality } from '../search/evaluator.ts';

/** Labelled pictures. */
export interface Labels {
  readonly annotations: CocoAnnotations;
  /** In the order of the annotations' images. */
  readonly paths: readonly string[];
  readonly folder: string;
}

export interface QualityOptions {
  readonly pipeline: PipelineConfig;
  readonly baseline: Configuration;
  /**
   * Without labels: what agreement is measured with, the most accurate detector in f32 at its published size. Null if that is
   * the baseline's own.
   */
  readonly reference: Configuration | null;
  readonly labels: Labels | null;
  /** The clip on which agreement is judged, read as a file. */
  readonly clip: StreamConfig;
  readonly maxLoss: number;
  readonly seed: number;
  readonly environment: Environment;
  readonly ffmpeg: FfmpegBinary;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** What is logged about a judgement. */
export type Judgement = Omit<Quality, 'measurements'> & {
  readonly gate: GateVerdict | null;
};

/** Judges configurations against the baseline: by AP on labelled pictures, else by agreement on video. */
export class QualityBench {
  readonly #options: QualityOptions;
  readonly #onImages = new Map<string, Promise<CollectedResults>>();
  readonly #onVideo = new Map<string, Promise<CollectedResults>>();

  constructor(options: QualityOptions) {
    this.#options = options;
  }

  /** What quality is measured on, for the log. */
  get name(): string {
    const { labels, maxLoss } = this.#options;
    const ground = labels === null ? 'agreement on video' : `AP on ${labels.paths.length} pictures`;
    return `${ground}, at most ${maxLoss} lost`;
  }

  /** @throws the errors of `openRuntime`; ENGINE_FAILED if pictures were given up. */
  async judge(configuration: Configuration): Promise<Judgement> {
    const still = withoutSkips(configuration);
    const detections = this.#options.labels === null ? await this.#agreement(still) : await this.#byLabels(still);
    if (detections.verdict !== 'passed' || !skipsWork(configuration)) return detections;
    return this.#withSkips(configuration, detections);
  }

  async #byLabels(configuration: Configuration): Promise<Judgement> {
    const { baseline, labels, maxLoss: allowed, seed } = this.#options;
    const reference = await this.#images(withoutSkips(baseline));
    const candidate = await this.#images(configuration);
    const ground = { kind: 'labels', annotations: labels!.annotations } as const;
    const gate = await judge(reference, candidate, ground, { maxLoss: allowed, seed });
    if (pictureKey(configuration) === pictureKey(withoutSkips(baseline)))
      return { ...unchanged(allowed, 'it is the baseline'), ap: gate.reference, gate };
    const { verdict, loss, interval, reason } = gate;
    return { verdict, ap: gate.candidate, loss, upperBound: interval[1], allowed, reason, gate };
  }

  /**
   * Without labels nobody knows which of two detectors is right. What agrees with the most accurate one as well as the
   * baseline does has lost nothing.
   */
  async #agreement(configuration: Configuration): Promise<Judgement> {
    const { baseline, reference, maxLoss: allowed, seed } = this.#options;
    const own = withoutSkips(baseline);
    if (pictureKey(configuration) === pictureKey(own))
      return { ...unchanged(allowed, 'it is the baseline'), ap: null, gate: null };
    const ground = { kind: 'video', counters: this.#options.clip } as const;
    const options = { maxLoss: allowed, seed };
    const isSameModel = configuration.model === baseline.model;
    if (reference === null || isSameModel) {
      const gate = await judge(await this.#video(own), await this.#video(configuration), ground, options);
      return { ...qualityOf(gate, allowed), gate };
    }
    const truth = await this.#video(reference);
    const gate = await judge(truth, await this.#video(configuration), ground, options);
    const before = await judge(truth, await this.#video(own), ground, options);
    const loss = before.candidate - gate.candidate;
    const upperBound = loss + (gate.interval[1] - gate.loss);
    const isPassed = upperBound <= allowed;
    const verdict = isPassed ? 'passed' : loss > allowed ? 'refused' : 'inconclusive';
    const reason = `F1 ${gate.candidate.toFixed(3)} against ${reference.model} on the video, where the baseline has ${before.candidate.toFixed(3)}; ${allowed} may be lost`;
    return { verdict, ap: null, loss, upperBound, allowed, reason, gate };
  }

  /** Skipped inference is judged on video, with the frames in between, against the same configuration that infers them all. */
  async #withSkips(configuration: Configuration, detections: Judgement): Promise<Judgement> {
    const { maxLoss: allowed, seed, clip } = this.#options;
    const every = await this.#video(withoutSkips(configuration));
    const ground = { kind: 'video', counters: clip } as const;
    const gate = await judge(every, await this.#video(configuration), ground, { maxLoss: allowed, seed });
    const skipped = qualityOf(gate, allowed);
    // What the detector loses and what skipping loses add up.
    const loss = Math.max(0, detections.loss) + skipped.loss;
    const isTooMuch = skipped.verdict === 'passed' && loss > allowed;
    const verdict = isTooMuch ? 'refused' : skipped.verdict;
    const reason = `${skipped.reason}${isTooMuch ? `; with the ${detections.loss.toFixed(3)} of the detector it is too much` : ''}`;
    return { ...skipped, verdict, loss, ap: detections.ap, reason, gate };
  }

  #images(configuration: Configuration): Promise<CollectedResults> {
    const { labels } = this.#options;
    const { paths, folder: label } = labels!;
    return remember(this.#onImages, pictureKey(configuration), () =>
      collectOnImages(this.#collect(configuration), { paths, label, resizeBy: configuration.resizeBy }),
    );
  }

  #video(configuration: Configuration): Promise<CollectedResults> {
    const { clip, pipeline } = this.#options;
    const key = `${pictureKey(configuration)} ${configuration.skipUnchanged} ${configuration.trackBetween}`;
    return remember(this.#onVideo, key, () => {
      const { resizeBy, hwaccel, skip } = apply({ ...pipeline, streams: [clip] }, configuration).streams[0]!;
      return collectOnVideo(this.#collect(configuration), { ...clip, resizeBy, hwaccel, skip });
    });
  }

  #collect(configuration: Configuration): CollectOptions {
    const { pipeline, environment, ffmpeg, signal: stop, note } = this.#options;
    const { model, batch, lanes } = apply(pipeline, configuration);
    return { model, batch, lanes, environment, ffmpeg, stop, onNotice: note };
  }
}

function qualityOf({ verdict, loss, interval, reason }: GateVerdict, allowed: number): Omit<Quality, 'measurements'> {
  return { verdict, ap: null, loss, upperBound: interval[1], allowed, reason };
}

function unchanged(allowed: number, reason: string): Omit<Quality, 'measurements' | 'ap'> {
  return { verdict: 'passed', loss: 0, upperBound: 0, allowed, reason };
}

/** The same configuration, inferring every frame. */
export function withoutSkips(configuration: Configuration): Configuration {
  return { ...configuration, skipUnchanged: false, trackBetween: 1 };
}

/** Equal for configurations that find the same in one picture. */
function pictureKey({ model, engine, precision, inputSize, resizeBy, hwaccel }: Configuration): string {
  return [model, engine, precision, inputSize, resizeBy, hwaccel].join(' ');
}

/** A failed run is not remembered. */
function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let made = known.get(key);
  if (made === undefined) {
    made = make();
    known.set(key, made);
    made.catch(() => known.delete(key));
  }
  return made;
}
