import { resolve } from 'node:path';
import { z } from 'zod';
import { sinkId, tellsAlerts } from '../../after/sinks/sink-kinds.ts';
import { type GivenFile, MOST_BYTES, readGivenText, readGivenTextSync } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { faultsText, inspect } from '../../settings/config/check.ts';
import type { Variables } from '../../settings/config/environment.ts';
import { isSection } from '../../settings/config/merge-settings.ts';
import { unknownModel } from '../../settings/config/model-fit.ts';
import { parseYaml } from '../../settings/config/parse-yaml.ts';
import { streamDefaults } from '../../settings/config/stream.ts';
import { type PipelineConfig, pipelineConfig } from './pipeline.ts';
import { misplacedPlaceholders, resolveAll } from './resolve-placeholders.ts';
import { validPart } from './valid-part.ts';

const PIPELINE_FILE = { code: 'CONFIG_NOT_FOUND', mostBytes: MOST_BYTES.settings } as const satisfies GivenFile;

/**
 * Reads a pipeline file.
 *
 * @param variables - what `${env:NAME}` stands for. With them, placeholders are resolved into `placeholders`; without, the settings
 *   can be looked at, but nothing that has a placeholder can be opened.
 * @throws CONFIG_NOT_FOUND, CONFIG_INVALID (syntax errors with line and column; settings with key, expected value and
 * received value).
 */
export function loadPipeline(path: string, variables?: Variables): PipelineConfig {
  return parsePipeline(readPipelineText(path), path, variables);
}

/** As `loadPipeline`, without holding up a process that runs while the disk answers. */
export async function readPipeline(path: string, variables?: Variables): Promise<PipelineConfig> {
  return parsePipeline(await readGivenText(path, PIPELINE_FILE), path, variables);
}

/** Reads the text of a pipeline file. @throws CONFIG_NOT_FOUND */
export function readPipelineText(path: string): string {
  return readGivenTextSync(path, PIPELINE_FILE);
}

/**
 * Parses the text of a pipeline file; `where` names it in messages.
 *
 * @param variables - as of `loadPipeline`.
 * @throws CONFIG_INVALID
 */
export function parsePipeline(text: string, where: string, variables?: Variables): PipelineConfig {
  return validOf(inspectPipeline(text, variables), where);
}

export interface InspectedPipeline {
  /** null if there are faults. */
  readonly config: PipelineConfig | null;
  /** What is valid of a file with faults, to be checked further; null if that is nothing. */
  readonly rest?: {
    readonly config: PipelineConfig;
    /** Whether it has each stream and each sink of the file. */
    readonly isComplete: boolean;
  } | null;
  /** Every mistake of the file that can be told without opening anything else but the files of placeholders. */
  readonly faults: readonly string[];
  /** Of the first mistake, if the file is no YAML. */
  readonly line?: number;
}

/** Parses the text of a pipeline file and finds all its faults at once. @param variables - as of `loadPipeline`. */
export function inspectPipeline(text: string, variables?: Variables): InspectedPipeline {
  const { value, faults } = parseYaml(text);
  if (faults.length === 0) return inspectPlain(value, variables);
  const texts = faults.map(({ place, what }) => `${place}not valid YAML: ${what}`);
  const [{ line } = {}] = faults;
  return { config: null, faults: texts, ...(line === undefined ? {} : { line }) };
}

/**
 * Checks a pipeline that is no text: defaults are filled in, and merged into each stream.
 *
 * @param variables - as of `loadPipeline`.
 * @throws CONFIG_INVALID
 */
export function checkPipeline(raw: unknown, where: string, variables?: Variables): PipelineConfig {
  return validOf(inspectPlain(raw, variables), where);
}

/** @throws CONFIG_INVALID */
function validOf({ config, faults, line }: InspectedPipeline, where: string): PipelineConfig {
  if (config !== null) return config;
  const details = line === undefined ? { where } : { where, line };
  throw new SightlineError('CONFIG_INVALID', `${where}: ${faultsText(faults)}`, details);
}

function inspectPlain(raw: unknown, variables: Variables | undefined): InspectedPipeline {
  // Checked first and alone: merged into every stream, one mistake would be reported once per stream.
  const ofDefaults = inspect(defaultsOnly, raw).faults;
  const { data, faults } = inspect(
    pipelineConfig,
    withDefaults(ofDefaults.length === 0 ? raw : withValidDefaults(raw)),
  );
  const others = faults.filter((fault) => !ofDefaults.includes(fault));
  const config = data ?? validPart(pipelineConfig, withDefaults(withValidDefaults(raw)));
  const references = [
    ...(data === undefined ? [] : [...wrongChannels(data), ...unknownStages(data)]),
    ...(config === null ? [] : unknownModels(config, raw)),
  ];
  const all = [...ofDefaults, ...others, ...repeatedNames(raw), ...misplacedPlaceholders(raw), ...references];
  if (config === null) return { config: null, faults: all };
  const { faults: unresolved, placeholders } = variables === undefined ? { faults: [] } : resolveAll(config, variables);
  const whole = placeholders === undefined ? config : { ...config, placeholders };
  if (all.length + unresolved.length === 0) return { config: whole, faults: [] };
  const isComplete =
    config.streams.length === entriesOf(raw, 'streams') && config.sinks.length === entriesOf(raw, 'sinks');
  return { config: null, rest: { config: whole, isComplete }, faults: [...all, ...unresolved] };
}

function entriesOf(raw: unknown, key: 'streams' | 'sinks'): number {
  const list = isSection(raw) ? raw[key] : undefined;
  return Array.isArray(list) ? list.length : 0;
}

const defaultsOnly = z.looseObject({ defaults: streamDefaults.optional() });

/** Merges `defaults` into every stream; keys of the stream take precedence. */
function withDefaults(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null || !('streams' in raw) || !Array.isArray(raw.streams)) return raw;
  const defaults = 'defaults' in raw && typeof raw.defaults === 'object' ? raw.defaults : {};
  const streams = raw.streams.map((stream: unknown) => (isSection(stream) ? { ...defaults, ...stream } : stream));
  return { ...raw, streams };
}

/** Leaves out the keys of `defaults` that are not valid. */
function withValidDefaults(raw: unknown): unknown {
  if (!isSection(raw)) return raw;
  if (!isSection(raw.defaults)) return { ...raw, defaults: {} };
  const keys = streamDefaults.shape as Record<string, z.ZodType>;
  const valid = Object.entries(raw.defaults).filter(([key, value]) => keys[key]?.safeParse(value).success === true);
  return { ...raw, defaults: Object.fromEntries(valid) };
}

/** Ids that two streams have, and files that two sinks write, which would mix up their lines. */
function repeatedNames(raw: unknown): string[] {
  if (!isSection(raw)) return [];
  const listOf = (list: unknown): unknown[] => (Array.isArray(list) ? list : []);
  const faults: string[] = [];
  const ids = new Set<string>();
  for (const [i, stream] of listOf(raw.streams).entries()) {
    if (!isSection(stream) || typeof stream.id !== 'string') continue;
    const { id } = stream;
    if (ids.has(id)) faults.push(`streams[${i}].id: expected a name that no other stream has, received "${id}" again`);
    ids.add(id);
  }
  const indexOfPath = new Map<string, number>();
  for (const [i, sink] of listOf(raw.sinks).entries()) {
    if (!isSection(sink) || typeof sink.path !== 'string' || sink.path === '-') continue;
    const path = resolve(sink.path);
    const other = indexOfPath.get(path);
    if (other !== undefined)
      faults.push(
        `sinks[${i}].path: expected a file of its own, received "${sink.path}", which sinks[${other}] writes`,
      );
    indexOfPath.set(path, i);
  }
  return faults;
}

/** Returns a text for each sink of an alert that does not exist, or would send more than alerts. */
function wrongChannels({ alerts, sinks }: z.output<typeof pipelineConfig>): string[] {
  const channels = sinks.flatMap((sink, i) => (tellsAlerts(sink) ? [sinkId(sink, i)] : []));
  const known = channels.length === 0 ? 'there is none' : channels.join(', ');
  return alerts.flatMap(({ to }, i) =>
    to.flatMap((id, j) =>
      channels.includes(id)
        ? []
        : [
            `alerts[${i}].to[${j}]: expected a sink that sends new events alone (send: [events]), of all streams: ${known}; received "${id}"`,
          ],
    ),
  );
}

/** Returns a text for each second stage that a stream names and the pipeline does not have. */
function unknownStages({ stages, streams }: z.output<typeof pipelineConfig>): string[] {
  const names = stages.map(({ name }) => name);
  return streams.flatMap(({ stages: wanted = [] }, i) =>
    wanted.flatMap((name, j) =>
      names.includes(name)
        ? []
        : [
            `streams[${i}].stages[${j}]: expected a name of the section stages: ${names.join(', ') || 'there is none'}; received "${name}"`,
          ],
    ),
  );
}

/** Returns a text for each stream whose detector does not exist. @param raw - has the names also of those with mistakes. */
function unknownModels({ streams }: z.output<typeof pipelineConfig>, raw: unknown): string[] {
  const models = isSection(raw) && isSection(raw.models) ? raw.models : {};
  return streams.flatMap(({ model, modelWhen }, i) => {
    const named = [
      ...(model === undefined ? [] : [{ at: 'model', name: model }]),
      ...modelWhen.map((choice, j) => ({ at: `modelWhen[${j}].model`, name: choice.model })),
    ];
    return named
      .filter(({ name }) => !Object.hasOwn(models, name))
      .map(({ at, name }) => unknownModel(`streams[${i}].${at}`, name, Object.keys(models)));
  });
}
