import { isDeepStrictEqual } from 'node:util';
import { isMap, isSeq, parseDocument } from 'yaml';
import { check } from '../../config/check.ts';
import { parsePipeline } from '../../config/load-pipeline.ts';
import { type PipelineConfig, pipelineConfig } from '../../config/pipeline.ts';
import type { StreamConfig } from '../../config/stream.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Configuration } from '../result.ts';
import { skipsWork } from './search-space.ts';

/** What a pipeline leaves to the machine, as it turned out there. */
export type ConfigurationDefaults = Pick<
  Configuration,
  'engine' | 'precision' | 'inputSize' | 'inferenceThreads' | 'lanes' | 'resizeBy'
>;

/** The setting of a stream that skips work; absent from pipelines that never skip. */
interface SkipSetting {
  readonly unchanged?: unknown;
  readonly trackBetween?: unknown;
}

/** A value that is written at a path of a pipeline; undefined removes the key. */
type Setting = readonly [path: readonly string[], value: unknown];

/** Settings of a model file that do not apply to another file. */
const FILE_SETTINGS = ['family', 'labels', 'colours', 'range', 'resize'] as const;

const PROVIDERS_OF: Readonly<Record<Configuration['engine'], readonly string[]>> = {
  onnx: ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml'],
  openvino: ['cpu', 'gpu', 'npu', 'auto'],
  tensorflow: ['cpu', 'cuda'],
  wasm: ['cpu'],
};

/** Writes a configuration into a pipeline. Settings that no lever changes stay as they are. @throws CONFIG_INVALID */
export function apply(pipeline: PipelineConfig, configuration: Configuration): PipelineConfig {
  const next = structuredClone(pipeline) as unknown as Record<string, unknown>;
  for (const [path, value] of pipelineSettings(pipeline, configuration)) put(next, path, value);
  next.defaults = withSettings(pipeline.defaults, configuration);
  next.streams = pipeline.streams.map((stream) => withSettings(stream, configuration));
  return check(pipelineConfig, next, pipeline.name);
}

/**
 * Writes a configuration into the text of a pipeline file. Comments, order and settings that no lever changes stay.
 *
 * @param where - names the text in messages.
 * @throws CONFIG_INVALID
 */
export function applyToText(text: string, configuration: Configuration, where: string): string {
  const pipeline = parsePipeline(text, where);
  const document = parseDocument(text);
  for (const [path, value] of pipelineSettings(pipeline, configuration)) edit(document, path, value);
  for (const [key, value] of Object.entries(streamSettings(pipeline.defaults, configuration)))
    edit(document, ['defaults', key], value);
  const streams = document.get('streams');
  if (isSeq(streams))
    for (const [i, stream] of streams.items.entries()) {
      if (!isMap(stream)) continue;
      const wanted = streamSettings(pipeline.streams[i]!, configuration);
      // What a stream does not set itself comes from the defaults.
      for (const [key, value] of Object.entries(wanted))
        if (stream.has(key)) edit(document, ['streams', String(i), key], value);
    }
  const result = String(document);
  const expected = apply(pipeline, configuration);
  if (!isDeepStrictEqual(parsePipeline(result, where).streams, expected.streams))
    throw new SightlineError('CONFIG_INVALID', `${where}: the settings of its streams cannot be changed in place`);
  return result;
}

/**
 * Reads the values of all levers from a pipeline. Where its streams differ, the first one counts.
 *
 * @param defaults - what the runtime chose for settings that are absent or `auto`.
 * @throws CONFIG_INVALID for the fake engine, which infers nothing.
 */
export function configurationOf(pipeline: PipelineConfig, defaults: ConfigurationDefaults): Configuration {
  const { model, batch, lanes } = pipeline;
  if (model.engine === 'fake')
    throw new SightlineError(
      'CONFIG_INVALID',
      'model.engine: expected tensorflow, openvino, onnx, wasm or auto, received "fake", which infers nothing',
    );
  const stream: Partial<StreamConfig> = pipeline.streams[0] ?? (pipeline.defaults as Partial<StreamConfig>);
  const skip = skipOf(stream);
  return {
    model: model.name,
    engine: model.engine === 'auto' ? defaults.engine : model.engine,
    precision: model.precision === 'auto' ? defaults.precision : model.precision,
    inputSize: model.inputSize ?? defaults.inputSize,
    inferenceThreads: model.threads ?? defaults.inferenceThreads,
    lanes: lanes ?? defaults.lanes,
    decodeThreads: stream.decodeThreads ?? 1,
    maxBatch: batch.maxBatch,
    maxDelayMs: batch.maxDelayMs,
    resizeBy: stream.resizeBy === undefined || stream.resizeBy === 'auto' ? defaults.resizeBy : stream.resizeBy,
    hwaccel: stream.hwaccel ?? 'none',
    skipUnchanged: skip?.unchanged !== undefined && skip.unchanged !== false,
    trackBetween: typeof skip?.trackBetween === 'number' ? skip.trackBetween : 1,
  };
}

function pipelineSettings({ model }: PipelineConfig, to: Configuration): Setting[] {
  const isOtherModel = model.name !== to.model;
  const settings: Setting[] = [
    [['model', 'name'], to.model],
    [['model', 'engine'], to.engine],
    [['model', 'precision'], to.precision],
    [['model', 'inputSize'], to.inputSize],
    // The engine tensorflow has one thread by itself, and refuses the setting above 1.
    [['model', 'threads'], to.engine === 'tensorflow' ? undefined : to.inferenceThreads],
    [['lanes'], to.lanes],
    [['batch', 'maxBatch'], to.maxBatch],
    [['batch', 'maxDelayMs'], to.maxDelayMs],
  ];
  if (!PROVIDERS_OF[to.engine].includes(model.provider)) settings.push([['model', 'provider'], 'cpu']);
  if (isOtherModel)
    for (const key of FILE_SETTINGS) if (model[key] !== undefined) settings.push([['model', key], undefined]);
  return settings;
}

/** The settings of one stream, or of `defaults`. */
function streamSettings(stream: object, to: Configuration): Record<string, unknown> {
  const settings = { decodeThreads: to.decodeThreads, resizeBy: to.resizeBy, hwaccel: to.hwaccel };
  const skip = skipOf(stream);
  if (skip === undefined && !skipsWork(to)) return settings;
  // Details that the user gave for the change gate stay while the gate stays on.
  const hasDetails = typeof skip?.unchanged === 'object' && skip.unchanged !== null;
  const unchanged = to.skipUnchanged && hasDetails ? skip?.unchanged : to.skipUnchanged;
  return { ...settings, skip: { ...skip, unchanged, trackBetween: to.trackBetween } };
}

function withSettings(stream: object, to: Configuration): object {
  return { ...stream, ...streamSettings(stream, to) };
}

function skipOf(stream: object): SkipSetting | undefined {
  return (stream as { skip?: SkipSetting }).skip;
}

function put(target: Record<string, unknown>, [key, ...rest]: readonly string[], value: unknown): void {
  if (rest.length > 0) {
    target[key!] ??= {};
    put(target[key!] as Record<string, unknown>, rest, value);
  } else if (value === undefined) delete target[key!];
  else target[key!] = value;
}

function edit(document: ReturnType<typeof parseDocument>, path: readonly string[], value: unknown): void {
  const at = path.map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  if (value === undefined) document.deleteIn(at);
  else document.setIn(at, value);
}
