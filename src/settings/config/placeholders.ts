import { hideValue } from '../../base/core/hidden-values.ts';
import { redact } from '../../base/core/redact.ts';
import { MIB, readGivenTextSync } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Variables } from './environment.ts';

/**
 * What the texts with placeholders in a pipeline file stand for: from the text as it is written to the text to use. They hold
 * secrets. Settings, records and reports keep what is written; a value is looked up here where something is opened.
 */
export interface Placeholders {
  readonly sources: ReadonlyMap<string, string>;
  /** Such as addresses and secrets of receivers. */
  readonly sinks: ReadonlyMap<string, string>;
}

/** A literal `${`, a placeholder, or a `${` that is neither. */
const PARTS = /\$\$\{|\$\{(?:(env|file):([^}]*)\})?/g;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LITERAL = '$${';
const MOST_FILE_BYTES = MIB / 16;
const LINE_END = /\r?\n$/;
const FORMS = `\${env:NAME} or \${file:PATH} ($\${ for a literal \${)`;

/** Returns a check that waits for the value of a placeholder. */
export function orPlaceholder(fits: (text: string) => boolean): (text: string) => boolean {
  return (text) => hasPlaceholder(text) || fits(text);
}

/** Returns whether a text holds `${` that is not escaped. */
export function hasPlaceholder(text: string): boolean {
  return [...text.matchAll(PARTS)].some(([part]) => part !== LITERAL);
}

/**
 * Returns a text with the values of its placeholders. Only texts of this host's own pipeline file are resolved: otherwise a client could
 * read the environment and the files of this machine.
 *
 * @throws SOURCE_FORBIDDEN for any other text with a placeholder.
 */
export function sourceText(written: string, own: ReadonlyMap<string, string> | undefined): string {
  return ownText(
    written,
    own,
    () =>
      new SightlineError(
        'SOURCE_FORBIDDEN',
        `source "${redact(written)}": placeholders are resolved only as the pipeline file of this host has them for the same stream; write $\${ for a literal \${`,
      ),
  );
}

/** As `sourceText`, for a text of a sink at a place of the pipeline file. @throws CONFIG_INVALID */
export function sinkText(written: string, own: ReadonlyMap<string, string> | undefined, where: string): string {
  return ownText(written, own, () => invalid(where, 'its placeholders were not resolved: no variables were given'));
}

function ownText(written: string, own: ReadonlyMap<string, string> | undefined, refusal: () => SightlineError): string {
  const known = own?.get(written);
  if (known !== undefined) return known;
  if (hasPlaceholder(written)) throw refusal();
  return written.replaceAll(LITERAL, '${');
}

/**
 * Resolves the placeholders of a text of the pipeline file, and hides their values in everything that is printed later.
 *
 * @param where - the place in the file, for messages.
 * @throws CONFIG_INVALID if a variable is missing or empty, if a file cannot be read, is too large, empty or not a regular file, or
 *   if a value holds control characters.
 */
export function resolvePlaceholders(written: string, where: string, variables: Variables): string {
  const values: [value: string, placeholder: string][] = [];
  const text = written.replace(PARTS, (part: string, kind?: string, name = '') => {
    if (part === LITERAL) return '${';
    if (kind === undefined) throw invalid(where, `expected ${FORMS}, received "\${"`);
    const value = kind === 'env' ? variableOf(name, where, variables) : fileOf(name, where);
    if (value === '') throw invalid(where, `${part} is empty`);
    if (/\p{Cc}/u.test(value)) throw invalid(where, `${part} holds a line break or another control character`);
    values.push([value, part]);
    return value;
  });
  const { host, hostname } = URL.canParse(text) ? new URL(text) : { host: '', hostname: '' };
  // A machine is no secret, and other texts that name it must stay readable.
  for (const [value, part] of values) if (value !== host && value !== hostname) hideValue(value, part);
  return text;
}

function variableOf(name: string, where: string, variables: Variables): string {
  if (!VARIABLE_NAME.test(name))
    throw invalid(where, `\${env:${name}}: expected a name of letters, digits and underscore`);
  const value = variables[name];
  if (value === undefined) throw invalid(where, `the environment variable ${name} is not set`);
  return value;
}

/** The line break that editors add at the end is left out. */
function fileOf(path: string, where: string): string {
  const given = { code: 'CONFIG_INVALID', as: `${where}: \${file:${path}}`, mostBytes: MOST_FILE_BYTES } as const;
  return readGivenTextSync(path, given).replace(LINE_END, '');
}

function invalid(where: string, why: string): SightlineError {
  return new SightlineError('CONFIG_INVALID', `${where}: ${why}`, { where });
}
