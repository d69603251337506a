import { resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { MOST_BYTES, readGivenTextSync } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { check } from './check.ts';
import type { Variables } from './environment.ts';
import { type PipelineConfig, pipelineConfig } from './pipeline.ts';
import { hasPlaceholder, resolvePlaceholders } from './placeholders.ts';
import { isWebAddress, LEAST_SECRET_CHARS } from './sinks.ts';
import { type StreamConfig, streamConfig, streamDefaults } from './stream.ts';

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

/** Reads the text of a pipeline file. @throws CONFIG_NOT_FOUND */
export function readPipelineText(path: string): string {
  return readGivenTextSync(path, { code: 'CONFIG_NOT_FOUND', mostBytes: MOST_BYTES.settings });
}

/** Parses the text of a pipeline file; `where` names it in messages. @param variables - as of `loadPipeline`. */
export function parsePipeline(text: string, where: string, variables?: Variables): PipelineConfig {
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
  return checkPipeline(toPlain(document, where), where, variables);
}

/**
 * Checks a pipeline that is no text: defaults are filled in, and merged into each stream.
 *
 * @param variables - as of `loadPipeline`.
 * @throws CONFIG_INVALID
 */
export function checkPipeline(raw: unknown, where: string, variables?: Variables): PipelineConfig {
  // Checked first and alone: merged into every stream, one mistake would be reported once per stream.
  check(defaultsOnly, raw, where);
  const config = check(pipelineConfig, withDefaults(raw), where);
  refuseDuplicates(config, where);
  refuseOtherPlaceholders(raw, where);
  return variables === undefined ? config : withPlaceholders(config, where, variables);
}

/** Keys whose texts may hold placeholders. A description may speak of them. */
const MAY_HOLD_ONE = /^(?:description|streams\[\d+\]\.source|sinks\[\d+\]\.(?:url|secret|headers\..+))$/;

/** Elsewhere `${env:NAME}` would stay as it is, which nobody expects. */
function refuseOtherPlaceholders(value: unknown, where: string, at = ''): void {
  if (typeof value === 'string') {
    if (/\$\{(?:env|file):/.test(value) && !MAY_HOLD_ONE.test(at))
      throw new SightlineError(
        'CONFIG_INVALID',
        `${where}: ${at}: expected no placeholder here; sources, and url, secret and headers of webhooks can have them`,
      );
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const part = Array.isArray(value) ? `[${key}]` : at === '' ? key : `.${key}`;
      refuseOtherPlaceholders(inner, where, at + part);
    }
  }
}

function withPlaceholders(config: PipelineConfig, file: string, variables: Variables): PipelineConfig {
  const [sources, sinks] = [new Map<string, string>(), new Map<string, string>()];
  const resolve = (known: Map<string, string>, written: string, at: string, expected = '', fits = always): void => {
    if (!hasPlaceholder(written)) return;
    const value = resolvePlaceholders(written, `${file}: ${at}`, variables);
    if (!fits(value))
      throw new SightlineError(
        'CONFIG_INVALID',
        `${file}: ${at}: expected ${expected} after the placeholders are resolved`,
      );
    known.set(written, value);
  };
  for (const [i, { source }] of config.streams.entries()) resolve(sources, source, `streams[${i}].source`);
  for (const [i, sink] of config.sinks.entries()) {
    if (sink.type !== 'webhook') continue;
    const { url, secret, headers = {} } = sink;
    resolve(sinks, url, `sinks[${i}].url`, 'an http or https URL', isWebAddress);
    const isLong = (text: string): boolean => text.length >= LEAST_SECRET_CHARS;
    if (secret !== undefined)
      resolve(sinks, secret, `sinks[${i}].secret`, `at least ${LEAST_SECRET_CHARS} characters`, isLong);
    for (const [name, value] of Object.entries(headers)) resolve(sinks, value, `sinks[${i}].headers.${name}`);
  }
  return sources.size + sinks.size === 0 ? config : { ...config, placeholders: { sources, sinks } };
}

const always = (_text: string): boolean => true;

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
