import type { Configuration, LeverId } from '../result.ts';

type Engine = Configuration['engine'];
type Precision = Configuration['precision'];

/** An engine with the number format it computes in. */
export interface EngineFormat {
  readonly engine: Engine;
  readonly precision: Precision;
}

/** What determines the time of an inference. */
export type InferPart = Pick<Configuration, 'model' | 'engine' | 'precision' | 'inputSize'>;

/** A detector that can take the place of the baseline's. */
export interface CandidateModel {
  readonly name: string;
  /** Published input, WIDTHxHEIGHT. */
  readonly inputSize: string;
  /** Whether the sides of its input can be any multiples of 32. */
  readonly anySize: boolean;
  /** AP that its publisher or its manifest states; null if unknown. Only sets the order in which models are tried. */
  readonly reportedAp: number | null;
  /** Formats besides those of the machine, such as int8 where a quantised file exists. */
  readonly extraFormats?: readonly EngineFormat[];
  /** Engines that cannot run it. */
  readonly refusedEngines?: readonly Engine[];
  /** Most frames of one call, if the network has a fixed batch. */
  readonly mostBatch?: number;
}

/** What this machine and this pipeline can do. */
export interface LeverOptions {
  /** Levers to try; absent: all. */
  readonly levers?: readonly LeverId[];
  readonly baseline: Configuration;
  /** Formats that the machine computes natively, int8 excluded: it needs a quantised file (`extraFormats`). */
  readonly formats: readonly EngineFormat[];
  readonly cores: number;
  readonly models: readonly CandidateModel[];
  /** Models that give the attributes of a second stage, by its name; absent: only its own. */
  readonly stageModels?: ReadonlyMap<string, readonly string[]>;
  /** Width / height of the streams' pictures; null if unknown or mixed. */
  readonly streamAspect: number | null;
  readonly streams: number;
  /** Whether an engine runs on a GPU: batches of several frames then raise the throughput. */
  readonly isOnGpu: boolean;
  /** Hardware decoders of this machine, as ffmpeg names them. */
  readonly hwaccels: readonly string[];
  /** Which frames may be decoded: what the pipeline decodes, and what decodes fewer and can be judged. */
  readonly decodes: readonly Configuration['decode'][];
  /** Whether full pictures are needed anyway (previews, videos): ffmpeg cannot fit pictures for the model then. */
  readonly needsFullPictures: boolean;
  /** Whether there is a video to judge skipped work on. */
  readonly mayJudgeVideo: boolean;
}
