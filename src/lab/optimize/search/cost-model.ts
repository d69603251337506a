import { pixelsOf } from '../levers/input-shapes.ts';
import {
  type CostFactors,
  type CostMachine,
  LEVER_IDS,
  type LeverId,
  leverOf,
  PLAIN,
  valueText,
} from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import type { Trial } from './evaluator.ts';
import type { InferTimeBook } from './infer-times.ts';

export interface MachineShape extends CostMachine {
  readonly cores: number;
  readonly streams: number;
  /** Pixels of the source's pictures. */
  readonly picturePx: number;
  /** CPU milliseconds of the crops of a frame that second stages look at; absent: there are none. */
  readonly cropMs?: (configuration: Configuration) => number;
}

/** CPU milliseconds in each stage for one frame, whether it is decoded or the last result holds for it. */
export interface StageCosts {
  readonly decode: number;
  readonly preprocess: number;
  readonly infer: number;
  readonly main: number;
  /** Of second stages. */
  readonly crops: number;
}

/** Levers by which measured costs of decoding differ. */
const DECODING: readonly LeverId[] = LEVER_IDS.filter((lever) => leverOf(lever).decodingDiffers !== undefined);

/** Costs before anything was measured, from 1080p H.264 on one core. */
const DECODE_MS_PER_MEGAPIXEL = 2.2;
const SHARP_MS_PER_MEGAPIXEL = 3.2;
/** Reading a picture from ffmpeg's pipe. */
const READ_MS_PER_MEGAPIXEL = 2;
const MAIN_MS = 0.3;

/**
 * Predicts the throughput of an offline pipeline from its parts:
 *
 *     fps = min(cores / (decode + preprocess + infer + main + crops), threads / infer, decoders / decode, 1 / main, 1 / crops)
 *
 * with CPU seconds of one frame. Costs are learned from every run; a prediction for a configuration is the measured rate
 * of a similar one times the ratio of the formula.
 */
export class CostModel {
  readonly #machine: MachineShape;
  readonly #times: InferTimeBook;
  readonly #decode = new Map<string, { ms: number; at: Configuration }>();
  readonly #priorDecoder: { ms: number; at: Configuration };
  readonly #preprocess = new Map<string, { ms: number; pixels: number }>();
  #mainMs: number | null = null;

  constructor(machine: MachineShape, times: InferTimeBook) {
    this.#machine = machine;
    this.#times = times;
    const ms = (DECODE_MS_PER_MEGAPIXEL * machine.picturePx) / 1e6;
    this.#priorDecoder = { ms, at: { ...PLAIN, resizeBy: 'ffmpeg' } };
  }

  learn(configuration: Configuration, { cpuMsPerFrame }: Trial): void {
    if (cpuMsPerFrame === null) return;
    const { decode, preprocess, main } = cpuMsPerFrame;
    const decoded = this.#factor(configuration, 'behindDecoder');
    this.#mainMs = ((this.#mainMs ?? main / decoded) + main / decoded) / 2;
    this.#decode.set(DECODING.map((lever) => valueText(lever, configuration)).join(' '), {
      ms: decode,
      at: configuration,
    });
    const pixels = pixelsOf(configuration.inputSize);
    this.#preprocess.set(configuration.resizeBy, { ms: preprocess / decoded, pixels });
  }

  /** Costs of the stages, with inference as measured or estimated. */
  costs(configuration: Configuration, isOptimistic = false): StageCosts {
    const decoded = this.#factor(configuration, 'behindDecoder');
    return {
      decode: this.#decodeMs(configuration),
      preprocess: decoded * this.#preprocessMs(configuration, isOptimistic),
      infer: decoded * this.#inferMs(configuration, isOptimistic),
      main: decoded * (this.#mainMs ?? MAIN_MS),
      crops: decoded * (this.#machine.cropMs?.(configuration) ?? 0),
    };
  }

  /** Frames per second by the formula; a ceiling if optimistic. */
  fps(configuration: Configuration, isOptimistic = false): number {
    const { cores, streams, isOnGpu } = this.#machine;
    const { decode, preprocess, infer, main, crops } = this.costs(configuration, isOptimistic);
    const { inferenceThreads } = configuration;
    const decoders = streams * this.#factor(configuration, 'decoders');
    const cpu = decode + preprocess + main + crops + (isOnGpu ? 0 : infer);
    return 1000 * Math.min(cores / cpu, inferenceThreads / infer, decoders / decode, 1 / main, 1 / crops);
  }

  /** Ratio of frames per second after a change to those before. */
  gain(from: Configuration, to: Configuration): number {
    return this.fps(to) / this.fps(from);
  }

  #inferMs(configuration: Configuration, isOptimistic: boolean): number {
    const { cores } = this.#machine;
    const { inferenceThreads } = configuration;
    const { oneThreadMs, allThreadsMs } = this.#times.estimate(configuration, isOptimistic);
    const crowding = cores === 1 ? 0 : Math.min(1, (inferenceThreads - 1) / (cores - 1));
    const call = oneThreadMs + (allThreadsMs - oneThreadMs) * crowding;
    return call * this.#factor(configuration, 'infer');
  }

  /** As measured with the most similar decoder. */
  #decodeMs(configuration: Configuration): number {
    const distance = ({ at }: { at: Configuration }): number =>
      DECODING.filter((lever) => valueText(lever, at) !== valueText(lever, configuration)).reduce(
        (sum, lever) => sum + leverOf(lever).decodingDiffers!,
        0,
      );
    const [nearest = this.#priorDecoder] = [...this.#decode.values()].sort((a, b) => distance(a) - distance(b));
    return (nearest.ms * this.#factor(configuration, 'decode')) / this.#factor(nearest.at, 'decode');
  }

  /** What all levers together do to a cost. */
  #factor(configuration: Configuration, of: keyof CostFactors): number {
    return LEVER_IDS.reduce(
      (product, lever) => product * (leverOf(lever).cost?.(configuration, this.#machine)[of] ?? 1),
      1,
    );
  }

  #preprocessMs({ resizeBy, inputSize }: Configuration, isOptimistic: boolean): number {
    const pixels = pixelsOf(inputSize);
    const known = this.#preprocess.get(resizeBy);
    // ffmpeg's pipe carries the model's input, so its cost follows that size; sharp's follows the source.
    if (known !== undefined) return resizeBy === 'ffmpeg' ? (known.ms * pixels) / known.pixels : known.ms;
    if (resizeBy === 'ffmpeg') return isOptimistic ? 0 : (READ_MS_PER_MEGAPIXEL * pixels) / 1e6;
    const read = this.#preprocess.get('ffmpeg')?.ms ?? 0;
    return isOptimistic ? read : read + (SHARP_MS_PER_MEGAPIXEL * this.#machine.picturePx) / 1e6;
  }
}
