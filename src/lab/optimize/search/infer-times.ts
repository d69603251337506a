import { pixelsOf } from '../levers/input-shapes.ts';
import { type EngineFormat, type InferPart, partKey } from '../levers/levers.ts';
import type { InferTimes } from './evaluator.ts';

/**
 * Times of the formats relative to onnx in f32, before anything was measured: rounded from measurements on CPUs with
 * AMX. They set the order of the probes; `PRIOR_OPTIMISM` keeps them from excluding what is faster on another machine.
 */
const FORMAT_PRIORS: Readonly<Record<string, number>> = {
  'onnx f32': 1,
  'onnx f16': 1.1,
  'onnx int8': 0.8,
  'openvino f32': 0.9,
  'openvino bf16': 0.55,
  'openvino f16': 0.6,
  'openvino int8': 0.6,
  'tensorflow f32': 1.2,
  'tensorflow f16': 1,
  'wasm f32': 4,
};
/** Of onnx in f32: small detectors take 50 to 180. */
const PRIOR_MS_PER_MEGAPIXEL = 100;
/** Factors that turn an estimate into a lower bound of the time. */
const PRIOR_OPTIMISM = 0.6;
const FORMAT_OPTIMISM = 0.8;
const SIZE_OPTIMISM = 0.9;
/** A model of which nothing is known may be this much faster per pixel than the fastest known one. */
const UNKNOWN_MODEL_OPTIMISM = 0.5;

interface KnownTime {
  readonly part: InferPart;
  readonly times: InferTimes;
}

/** Measured times of inference, and estimates for what was not measured. */
export class InferTimeBook {
  readonly #known = new Map<string, KnownTime>();
  readonly #failed = new Map<string, string>();
  /** Estimates since the last measurement. */
  readonly #estimates = new Map<string, InferTimes>();

  add(part: InferPart, times: InferTimes): void {
    this.#known.set(partKey(part), { part, times });
    this.#estimates.clear();
  }

  fail(part: InferPart, reason: string): void {
    this.#failed.set(partKey(part), reason);
  }

  measured(part: InferPart): InferTimes | null {
    return this.#known.get(partKey(part))?.times ?? null;
  }

  failure(part: InferPart): string | null {
    return this.#failed.get(partKey(part)) ?? null;
  }

  /** Whether a model was timed at any size in any format. */
  isModelKnown(name: string): boolean {
    return [...this.#known.values()].some(({ part }) => part.model === name);
  }

  /**
   * Returns the times of a part: as measured, or estimated from the same model at another size or format.
   *
   * @param isOptimistic - returns a lower bound of the time instead of the likely one.
   */
  estimate(part: InferPart, isOptimistic: boolean): InferTimes {
    const exact = this.measured(part);
    if (exact !== null) return exact;
    const key = `${partKey(part)} ${isOptimistic}`;
    const known = this.#estimates.get(key) ?? this.#estimate(part, isOptimistic);
    this.#estimates.set(key, known);
    return known;
  }

  #estimate(part: InferPart, isOptimistic: boolean): InferTimes {
    const sources = [...this.#known.values()].map((known) => this.#from(known, part));
    if (sources.length === 0) return { oneThreadMs: 1, allThreadsMs: 1 };
    // The surest source counts; among equally sure ones the likely time is their median.
    const surest = Math.max(...sources.map(({ sureness }) => sureness));
    const best = sources.filter(({ sureness }) => sureness === surest).sort((a, b) => a.scale - b.scale);
    const { scale, times } = best[isOptimistic ? 0 : Math.floor((best.length - 1) / 2)]!;
    const factor = scale * (isOptimistic ? optimismOf(surest) : 1);
    return { oneThreadMs: times.oneThreadMs * factor, allThreadsMs: times.allThreadsMs * factor };
  }

  #from({ part, times }: KnownTime, wanted: InferPart): { scale: number; sureness: number; times: InferTimes } {
    const pixels = pixelsOf(wanted.inputSize) / pixelsOf(part.inputSize);
    const isSameFormat = part.engine === wanted.engine && part.precision === wanted.precision;
    if (part.model === wanted.model && isSameFormat) return { scale: pixels, sureness: 4, times };
    const formats = this.#formatRatio(part, wanted);
    const scale = pixels * formats.ratio;
    if (part.model === wanted.model) return { scale, sureness: formats.isMeasured ? 3 : 2, times };
    return { scale, sureness: 1, times };
  }

  /** Time in one format to that in another: the smallest that was measured on any model, else the prior. */
  #formatRatio(from: EngineFormat, to: EngineFormat): { ratio: number; isMeasured: boolean } {
    if (formatKey(from) === formatKey(to)) return { ratio: 1, isMeasured: true };
    const ratios: number[] = [];
    for (const { part, times } of this.#known.values()) {
      if (formatKey(part) !== formatKey(from)) continue;
      const other = this.measured({ ...part, engine: to.engine, precision: to.precision });
      if (other !== null) ratios.push(other.allThreadsMs / times.allThreadsMs);
    }
    if (ratios.length > 0) return { ratio: Math.min(...ratios), isMeasured: true };
    const prior = (format: EngineFormat): number => FORMAT_PRIORS[formatKey(format)] ?? 1;
    return { ratio: prior(to) / prior(from), isMeasured: false };
  }
}

/** Returns the times of a part before anything was measured: right about the order, hardly about the size. */
export function priorTimes(part: InferPart): InferTimes {
  const ms = (PRIOR_MS_PER_MEGAPIXEL * pixelsOf(part.inputSize) * (FORMAT_PRIORS[formatKey(part)] ?? 1)) / 1e6;
  return { oneThreadMs: ms, allThreadsMs: ms };
}

function optimismOf(sureness: number): number {
  if (sureness === 4) return SIZE_OPTIMISM;
  if (sureness === 3) return FORMAT_OPTIMISM;
  return sureness === 2 ? PRIOR_OPTIMISM : UNKNOWN_MODEL_OPTIMISM;
}

function formatKey({ engine, precision }: EngineFormat): string {
  return `${engine} ${precision}`;
}
