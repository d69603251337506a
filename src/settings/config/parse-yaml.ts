import { LineCounter, parseDocument } from 'yaml';
import { nestingFault } from './nesting-fault.ts';

/** By the codes of the library `yaml`. */
const FAULTS: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'an alias that is none',
  BAD_DQ_ESCAPE: 'an unknown escape in double quotation marks',
  BAD_INDENT: 'wrong indentation',
  BAD_SCALAR_START: 'a character that no plain text may begin with; quote it',
  BLOCK_IN_FLOW: 'a list or section of lines inside of brackets',
  DUPLICATE_KEY: 'Map keys must be unique',
  MISSING_CHAR: 'a bracket, comma, colon, quotation mark or space is missing',
  MULTILINE_IMPLICIT_KEY: 'a key of several lines',
  MULTIPLE_DOCS: 'more than one document',
  RESOURCE_EXHAUSTION: 'more lists and sections within each other than can be read',
  TAB_AS_INDENT: 'tabs cannot indent',
  UNEXPECTED_TOKEN: 'something that does not belong here, such as a bracket without its other half',
};

/** What is wrong with a text that is not YAML. */
export interface YamlFault {
  /** Where, as `line 3, column 7: `; empty if nobody knows. */
  readonly place: string;
  readonly line?: number;
  /** As the end of a sentence. */
  readonly what: string;
}

/**
 * Parses YAML, or JSON, which is a part of it. Faults never quote the text, which may hold passwords, as the messages of the library do.
 *
 * @returns the value, undefined if there are faults.
 */
export function parseYaml(text: string): { readonly value: unknown; readonly faults: readonly YamlFault[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const faults = document.errors.map(({ code, pos: [at] }): YamlFault => {
    const { line, col } = lines.linePos(at);
    return { place: `line ${line}, column ${col}: `, line, what: FAULTS[code] ?? 'its syntax is wrong' };
  });
  // Where the library gave up, it reports much else.
  const deep = document.errors.findIndex(({ code }) => code === 'RESOURCE_EXHAUSTION');
  if (deep !== -1) return { value: undefined, faults: [faults[deep]!] };
  if (faults.length > 0) return { value: undefined, faults };
  try {
    const value: unknown = document.toJS();
    const what = nestingFault(value);
    return what === null ? { value, faults } : faultOf(what);
  } catch {
    // Only the conversion finds these.
    return faultOf('an alias without its anchor, or too many aliases');
  }
}

/** A fault whose place nobody knows. */
function faultOf(what: string): ReturnType<typeof parseYaml> {
  return { value: undefined, faults: [{ place: '', what }] };
}
