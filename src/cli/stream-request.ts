import { existsSync, readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { SightlineError } from '../errors/sightline-error.ts';

export interface StreamRequestFlags {
  readonly pipeline?: string;
  readonly maxFps?: number;
  readonly priority?: number;
  /** Path of a file, or inline JSON. */
  readonly config?: string;
}

/** Builds a stream request from a command line. Single flags override `--config`. The result is not validated. */
export function streamRequest(id: string, source: string, flags: StreamRequestFlags): object {
  const { pipeline, maxFps, priority, config } = flags;
  const flagValues = Object.entries({ pipeline, maxFps, priority }).filter(([, value]) => value !== undefined);
  return { ...(config === undefined ? {} : readConfig(config)), ...Object.fromEntries(flagValues), id, source };
}

function readConfig(text: string): object {
  const isFile = !text.trimStart().startsWith('{');
  if (isFile && !existsSync(text)) {
    const message = `--config: expected a file or a JSON object, found no file "${text}"`;
    throw new SightlineError('CONFIG_NOT_FOUND', message, { path: text });
  }
  // YAML is a superset of JSON, and its parser reports line and column.
  const document = parseDocument(isFile ? readFileSync(text, 'utf8') : text);
  const problem = document.errors[0];
  if (problem !== undefined) throw new SightlineError('CONFIG_INVALID', `--config: ${problem.message}`);
  const value: unknown = document.toJS();
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new SightlineError('CONFIG_INVALID', '--config: expected an object with the settings of one stream');
}
