import { Environment } from '@marcbachmann/cel-js';

/** What an expression of a rule can use; docs/events.md describes each. Numbers are doubles, so that they compare with one another. */
export interface RuleFacts {
  /** Class of the object; empty for rules that are not about one. */
  readonly label: string;
  /** Best score of the object so far. */
  readonly score: number;
  /** Seconds for which the object has been seen. */
  readonly age: number;
  /** Seconds for which the condition of the rule has held. */
  readonly held: number;
  /** Height of the object's box, as a ratio of the picture's height. */
  readonly size: number;
  /** Metres per second with a scale, else picture heights per second. */
  readonly speed: number;
  /** Objects that a rule counts. */
  readonly count: number;
  /** Hour of the day, 0 to 23, in the time zone of the rule's times, or that of the host; -1 for a recording without a clock. */
  readonly hour: number;
  /** What second stages have said of the object so far, by the attribute's name. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Returns whether a rule is met. */
export type Expression = (facts: RuleFacts) => boolean;

/** An expression is a condition, not a program. */
const LIMITS = { maxAstNodes: 500, maxDepth: 30, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 16 };

const environment = new Environment({ limits: LIMITS })
  .registerVariable('label', 'string')
  .registerVariable('score', 'double')
  .registerVariable('age', 'double')
  .registerVariable('held', 'double')
  .registerVariable('size', 'double')
  .registerVariable('speed', 'double')
  .registerVariable('count', 'double')
  .registerVariable('hour', 'double')
  .registerVariable('attributes', 'map<string, string>');

/** A pattern that backtracks would hold the main thread up, and lists within lists take long. */
const REFUSED = /\.\s*(matches|map|filter|all|exists|exists_one)\s*\(/;

/** Anybody who may change streams can try texts. */
const MOST_COMPILED = 1000;
/** Compiled expressions by their text: a rule is checked, and then run for each stream. */
const compiled = new Map<string, Expression>();

/**
 * Compiles a condition in CEL.
 *
 * @returns the condition; or a text that says what is wrong with it.
 * @see https://github.com/google/cel-spec/blob/master/doc/langdef.md
 */
export function compileExpression(text: string): Expression | string {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  // A comment could hide a call.
  if (text.includes('//')) return 'it contains //, which begins a comment';
  const refused = REFUSED.exec(text);
  if (refused !== null) return `it calls ${refused[1]}(), which is not available`;
  const { valid, type, error } = environment.check(text);
  if (!valid) return firstLine(error?.message ?? 'it cannot be read');
  if (type !== 'bool') return `it gives a ${type}`;
  const run = environment.parse(text);
  const expression: Expression = (facts) => run(facts) === true;
  if (compiled.size >= MOST_COMPILED) compiled.clear();
  compiled.set(text, expression);
  return expression;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.trim();
}
