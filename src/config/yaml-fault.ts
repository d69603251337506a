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
  TAB_AS_INDENT: 'tabs cannot indent',
  UNEXPECTED_TOKEN: 'something that does not belong here, such as a bracket without its other half',
};

/**
 * Says what is wrong with a text that is not YAML. The messages of the library quote the text, which may hold passwords.
 *
 * @param thrown - an error of the library.
 */
export function yamlFault(thrown: unknown): string {
  const { code = '', name } = thrown as { readonly code?: string; readonly name?: string };
  if (name === 'ReferenceError') return 'an alias without its anchor, or too many aliases';
  return FAULTS[code] ?? 'its syntax is wrong';
}
