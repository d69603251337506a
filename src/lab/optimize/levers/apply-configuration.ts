import { isDeepStrictEqual } from 'node:util';
import { isMap, isSeq, parseDocument } from 'yaml';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { parsePipeline } from '../../../serve/pipeline/load-pipeline.ts';
import { type PipelineConfig, pipelineConfig } from '../../../serve/pipeline/pipeline.ts';
import { check } from '../../../settings/config/check.ts';
import type { Configuration } from '../result.ts';
import { LEVER_IDS, leverOf, type StreamPart } from './levers.ts';

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
 * @param scoreThreshold - that another detector needs; null: the pipeline's stays.
 * @throws CONFIG_INVALID
 */
export function applyToText(
  text: string,
  configuration: Configuration,
  where: string,
  scoreThreshold: number | null = null,
): string {
  const pipeline = parsePipeline(text, where);
  const document = parseDocument(text);
  if (scoreThreshold !== null) edit(document, ['model', 'scoreThreshold'], scoreThreshold);
  for (const [path, value] of pipelineSettings(pipeline, configuration)) edit(document, path, value);
  for (const [key, value] of Object.entries(streamSettings(pipeline.defaults as StreamPart, configuration)))
    edit(document, ['defaults', key], value);
  const streams = document.get('streams');
  if (isSeq(streams))
    for (const [i, stream] of streams.items.entries()) {
      if (!isMap(stream)) continue;
      const wanted = streamSettings(pipeline.streams[i]!, configuration);
      // Settings that a stream does not have come from the defaults.
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
 * @param chosen - by the runtime for settings that are absent or `auto`; see `chosenBy`.
 * @throws CONFIG_INVALID for the fake engine, which infers nothing.
 */
export function configurationOf(pipeline: PipelineConfig, chosen: Partial<Configuration>): Configuration {
  const stream = (pipeline.streams[0] ?? pipeline.defaults) as StreamPart;
  const values = LEVER_IDS.map((lever) => [lever, leverOf(lever).read(pipeline, stream, chosen[lever] as never)]);
  return Object.fromEntries(values) as unknown as Configuration;
}

function pipelineSettings(pipeline: PipelineConfig, to: Configuration): (readonly [string[], unknown])[] {
  const settings = LEVER_IDS.flatMap((lever) => leverOf(lever).write?.(pipeline, to) ?? []);
  return settings.map(([path, value]) => [path.split('.'), value]);
}

/** What a configuration writes into one stream, or into `defaults`. */
export function streamSettings(stream: StreamPart, to: Configuration): Partial<StreamPart> {
  const parts = LEVER_IDS.map((lever) => leverOf(lever).writeStream?.(stream, to) ?? {});
  const skips = parts.flatMap(({ skip = [] }) => skip);
  return Object.assign({}, ...parts, skips.length === 0 ? {} : { skip: Object.assign({}, stream.skip, ...skips) });
}

function withSettings(stream: object, to: Configuration): object {
  return { ...stream, ...streamSettings(stream, to) };
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
