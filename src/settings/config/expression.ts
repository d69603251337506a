import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { mixedNumbers, refusedSyntax } from './refused-syntax.ts';
import { syntaxFault } from './syntax-fault.ts';

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

/** An expression is a condition, not a program. The library counts these while it reads: its tree is never larger. */
const LIMITS = { maxAstNodes: 500, maxDepth: 30, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 16 };
/** The longest text of a condition; a longer one is not even read. */
export const MOST_EXPRESSION_CHARS = 2000;

const NAMES: Readonly<Record<keyof RuleFacts, 'text' | 'number' | 'map'>> = {
  label: 'text',
  score: 'number',
  age: 'number',
  held: 'number',
  size: 'number',
  speed: 'number',
  count: 'number',
  hour: 'number',
  attributes: 'map',
};
const CEL_TYPES = { text: 'string', number: 'double', map: 'map<string, string>' } as const;

const environment = new Environment({ limits: LIMITS });
for (const [name, kind] of Object.entries(NAMES)) environment.registerVariable(name, CEL_TYPES[kind]);

/** Anybody who may change streams can try texts. */
const MOST_COMPILED = 1000;
/** Compiled expressions by their text: a rule is checked, and then run for each stream. */
const compiled = new Map<string, Expression>();

/**
 * Compiles a condition in CEL, of which only a part is allowed: see `refusedSyntax`. Nothing of it runs before it is allowed.
 *
 * @returns the condition, which takes at most 500 steps; or a text that says what is wrong with it.
 * @see https://github.com/google/cel-spec/blob/master/doc/langdef.md
 */
export function compileExpression(text: string): Expression | string {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  if (text.length > MOST_EXPRESSION_CHARS) return `it has ${text.length} characters, at most ${MOST_EXPRESSION_CHARS}`;
  const run = parsed(text);
  if (typeof run === 'string') return run;
  const refused = refusedSyntax(run.ast, NAMES, text);
  if (refused !== null) return refused;
  const { valid, type, error } = run.check();
  if (!valid) return mixedNumbers(run.ast) ?? syntaxFault(text, error);
  if (type !== 'bool') return `it gives a ${type}`;
  const expression: Expression = (facts) => run(facts) === true;
  if (compiled.size >= MOST_COMPILED) compiled.clear();
  compiled.set(text, expression);
  return expression;
}

function parsed(text: string): ParseResult | string {
  try {
    return environment.parse(text);
  } catch (error) {
    return syntaxFault(text, error);
  }
}
