import { resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { MOST_BYTES, readGivenTextSync } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { check } from './check.ts';
import { type PipelineConfig, pipelineConfig } from './pipeline.ts';
import { type StreamConfig, streamConfig, streamDefaults } from './stream.ts';

/**
 * Reads a pipeline file.
 *
 * @throws CONFIG_NOT_FOUND, CONFIG_INVALID (syntax errors with line and column; settings with key, expected value and
 * received value).
 */
export function loadPipeline(path: string): PipelineConfig {
  return parsePipeline(readPipelineText(path), path);
}

/** Reads the text of a pipeline file. @throws CONFIG_NOT_FOUND */
export function readPipelineText(path: string): string {
  return readGivenTextSync(path, { code: 'CONFIG_NOT_FOUND', mostBytes: MOST_BYTES.settings });
}

/** Parses the text of a pipeline file; `where` names it in messages. */
export function parsePipeline(text: string, where: string): PipelineConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new SightlineError(
      'CONFIG_INVALID',
      `${where}: line ${line}, column ${col}: not valid YAML: ${problem.message}`,
      { where, line },
    );
  }
  return checkPipeline(toPlain(document, where), where);
}

/** Checks a pipeline that is no text: defaults are filled in, and merged into each stream. @throws CONFIG_INVALID */
export function checkPipeline(raw: unknown, where: string): PipelineConfig {
  // Checked first and alone: merged into every stream, one mistake would be reported once per stream.
  check(defaultsOnly, raw, where);
  const config = check(pipelineConfig, withDefaults(raw), where);
  refuseDuplicates(config, where);
  return config;
}

const defaultsOnly = z.looseObject({ defaults: streamDefaults.optional() });

/** Only the conversion detects an alias without its anchor, or too many aliases. */
function toPlain(document: ReturnType<typeof parseDocument>, where: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new SightlineError('CONFIG_INVALID', `${where}: not valid YAML: ${(error as Error).message}`, { where });
  }
}

/** Merges `defaults` into every stream; keys of the stream take precedence. */
function withDefaults(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null || !('streams' in raw) || !Array.isArray(raw.streams)) return raw;
  const defaults = 'defaults' in raw && typeof raw.defaults === 'object' ? raw.defaults : {};
  const streams = raw.streams.map((stream: unknown) =>
    typeof stream === 'object' && stream !== null && !Array.isArray(stream) ? { ...defaults, ...stream } : stream,
  );
  return { ...raw, streams };
}

/** Parses one stream as received over REST, merged with the pipeline's defaults. @throws CONFIG_INVALID */
export function parseStream(raw: unknown, defaults: Readonly<Record<string, unknown>>): StreamConfig {
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  return check(streamConfig, isObject ? { ...defaults, ...raw } : raw, 'stream');
}

function refuseDuplicates(config: PipelineConfig, where: string): void {
  const seen = new Set<string>();
  for (const [i, { id }] of config.streams.entries()) {
    if (seen.has(id))
      throw new SightlineError(
        'CONFIG_INVALID',
        `${where}: streams[${i}].id: expected a name that no other stream has, received "${id}" again`,
      );
    seen.add(id);
  }
  refuseSharedFiles(config, where);
}

/** Two sinks that write the same file would mix up their lines. */
function refuseSharedFiles({ sinks }: PipelineConfig, where: string): void {
  const indexOfPath = new Map<string, number>();
  for (const [i, sink] of sinks.entries()) {
    if (!('path' in sink) || sink.path === '-') continue;
    const path = resolve(sink.path);
    const other = indexOfPath.get(path);
    if (other !== undefined)
      throw new SightlineError(
        'CONFIG_INVALID',
        `${where}: sinks[${i}].path: expected a file of its own, received "${sink.path}", which sinks[${other}] writes`,
      );
    indexOfPath.set(path, i);
  }
}
