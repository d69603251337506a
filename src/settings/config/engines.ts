import type { CompiledModel, ComputePrecision } from '../../base/core/model.ts';

export const PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml', 'gpu', 'npu', 'auto'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** What the compiler makes of a network for an engine. The first value of each is what an engine without wishes gets. */
export interface NetworkForm {
  /** A file, a folder, or the published TFJS files as they are. */
  readonly format: CompiledModel['format'];
  /** Layout of the picture at the first convolution; `interleaved` folds it into the weights. */
  readonly picture?: 'planes' | 'interleaved';
  /** For a library that computes in blocks of channels and leaves it to the graph to fuse what follows a convolution. */
  readonly isArranged?: boolean;
  /** Order in which CenterNet's heat map is ranked: the order of the engine's memory costs nothing. */
  readonly ranking?: 'by-class' | 'by-cell';
  /** On a CPU, class scores of cells that cannot become a box are left out. */
  readonly gatesClasses?: boolean;
  /** Where INT8 needs quantisers: at the inputs of layers, or around whole layers. Absent: it has no INT8. */
  readonly quantisers?: 'inputs' | 'whole';
}

/** What is known of an engine without loading it: what it takes, and what it computes. */
export interface EngineFacts {
  /** Values of `model.provider` that it takes, `cpu` for the files that `onnx` runs; null if it has one device, whatever that setting says. */
  readonly providers: readonly Provider[] | null;
  /** Null if it needs no weights. */
  readonly network: NetworkForm | null;
  /** Formats that it can compute in, if the device can. */
  readonly precisions: readonly ComputePrecision[];
  /** Its files are f32, and it chooses the format when it loads one. Otherwise the file has the format. */
  readonly choosesPrecision?: boolean;
  /** Inference threads: always one; one unless `model.threads` says more; or one for each core while it computes on the CPU. */
  readonly threads: 'one' | 'one-or-more' | 'each-core';
  /** `auto` measures such engines on this machine, and takes the faster one. */
  readonly isMeasured?: boolean;
}

/**
 * Every engine that `model.engine` can name, in the order in which they are compared; where several have a device or run a form of
 * network, the first of them is meant. `src/frame/infer/NAME-engine.ts` runs it.
 */
const FACTS = {
  onnx: {
    // By their names in onnxruntime-node.
    providers: ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml'],
    network: { format: 'onnx', picture: 'interleaved', isArranged: true, gatesClasses: true, quantisers: 'whole' },
    precisions: ['f32', 'f16', 'int8'],
    threads: 'each-core',
    isMeasured: true,
  },
  openvino: {
    providers: ['cpu', 'gpu', 'npu', 'auto'],
    network: { format: 'onnx', gatesClasses: true, quantisers: 'inputs' },
    precisions: ['f32', 'bf16', 'f16', 'int8'],
    choosesPrecision: true,
    threads: 'each-core',
    isMeasured: true,
  },
  tensorflow: {
    providers: ['cpu', 'cuda'],
    network: { format: 'saved-model', ranking: 'by-cell' },
    precisions: ['f32', 'f16'],
    threads: 'one',
  },
  wasm: { providers: null, network: { format: 'tfjs' }, precisions: ['f32'], threads: 'each-core' },
  fake: { providers: null, network: null, precisions: [], threads: 'one-or-more' },
} as const satisfies Record<string, EngineFacts>;

type Facts = typeof FACTS;
export type EngineName = keyof Facts;
/** An engine for which `models compile` makes INT8 files. */
export type QuantisedEngine = {
  [E in EngineName]: Facts[E]['network'] extends { readonly quantisers: string } ? E : never;
}[EngineName];

export const ENGINE_NAMES = Object.keys(FACTS) as readonly EngineName[];

export function factsOf(engine: EngineName): EngineFacts {
  return FACTS[engine];
}

/** Engines of which these facts are true, in their order. */
export function enginesThat(are: (facts: EngineFacts) => boolean): readonly EngineName[] {
  return ENGINE_NAMES.filter((name) => are(FACTS[name]));
}

/** What of a model's settings its engine does not take, and what it takes instead. */
export interface EngineFault {
  readonly key: 'provider' | 'precision' | 'threads';
  /** To follow "expected". */
  readonly limit: string;
}

/** Returns what an engine does not take, whatever this machine has. */
export function engineFaults(
  engine: EngineName,
  { provider, precision, threads }: { provider: Provider; precision: ComputePrecision | 'auto'; threads: number },
): EngineFault[] {
  const { providers, precisions, network, threads: most } = factsOf(engine);
  const faults: EngineFault[] = [];
  const ofEngine = (key: EngineFault['key'], limit: string, others: readonly EngineName[] = []): void => {
    const have = others.length === 1 ? 'engine' : 'engines';
    const owners = others.length === 0 ? '' : ` (${have} with it: ${others.join(', ')})`;
    faults.push({ key, limit: `${limit} with engine ${engine}${owners}` });
  };
  if (providers?.includes(provider) === false)
    ofEngine(
      'provider',
      providers.join(', '),
      enginesThat((facts) => facts.providers?.includes(provider) === true),
    );
  if (network !== null && precision !== 'auto' && !precisions.includes(precision))
    ofEngine(
      'precision',
      ['auto', ...precisions].join(', '),
      enginesThat((facts) => facts.precisions.includes(precision)),
    );
  if (most === 'one' && threads > 1)
    ofEngine('threads', '1, and for another GPU another process with another CUDA_VISIBLE_DEVICES,');
  return faults;
}

export function isQuantised(engine: EngineName): engine is QuantisedEngine {
  return factsOf(engine).network?.quantisers !== undefined;
}
