import type { ASTNode, ASTOperator } from '@marcbachmann/cel-js';
import { closest, distance } from 'fastest-levenshtein';

/** What a part of a condition gives, as far as this has to know it. */
type Kind = 'number' | 'text' | 'condition' | 'map';

/** Kinds of all that a condition can name. */
export type KnownNames = Readonly<Record<string, Kind>>;

/** Operators that give a number, of numbers only: texts and lists would grow. */
const ARITHMETIC: readonly ASTOperator[] = ['+', '-', '*', '/', '%'];
/** Operators that compare two of the same kind. */
const COMPARISON: readonly ASTOperator[] = ['==', '!=', '<', '<=', '>', '>='];
/** Called on a text, with a text: each reads it once. */
const TEXT_METHODS = ['startsWith', 'endsWith', 'contains'];

const ALLOWED =
  'a condition compares, calculates with numbers, combines by &&, || and !, chooses by ?:, looks up by in, and calls has(), size(), startsWith(), endsWith() and contains()';

/** Thrown within this file only. */
class Refused extends Error {}

/**
 * Looks for what a condition may not use. All that is allowed takes at most one step for each part of the tree, and makes nothing
 * that is larger than the text of the condition: so whoever may change rules cannot stop a host by one. CEL itself is not so
 * harmless: `cel.bind` with lists in lists needs 8 to the power of its depth.
 *
 * @param text - what the tree was made of.
 * @returns what is refused and where, as the end of a sentence; null if nothing is.
 */
export function refusedSyntax(tree: ASTNode, names: KnownNames, text: string): string | null {
  try {
    const kind = kindOf(tree, { names, text });
    return kind === 'condition' ? null : `it gives a ${kind}; compare it, as in score > 0.5`;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

/** Says where a calculation or a list may mix a whole number with decimals, which CEL refuses; null if none can. */
export function mixedNumbers(tree: ASTNode): string | null {
  const whole = wholeNumberOf(tree, false);
  if (whole === null) return null;
  const { args, start } = whole;
  return `it uses the whole number ${args} at character ${start + 1} together with decimals; write ${args}.0`;
}

/** The first constant without decimals in a calculation or list. */
function wholeNumberOf(node: ASTNode, isCalculated: boolean): ASTNode | null {
  if (node.op === 'value') return isCalculated && typeof node.args === 'bigint' ? node : null;
  const parts = [node.args].flat(2).filter((part): part is ASTNode => typeof part === 'object' && part !== null);
  const isInside = node.op === 'list' || ARITHMETIC.includes(node.op) || (isCalculated && node.op === '-_');
  return parts.reduce<ASTNode | null>((found, part) => found ?? wholeNumberOf(part, isInside), null);
}

/** What a condition is checked against. */
interface Scope {
  readonly names: KnownNames;
  readonly text: string;
}

function kindOf(node: ASTNode, scope: Scope): Kind {
  const { names, text } = scope;
  const of = (part: ASTNode): Kind => kindOf(part, scope);
  switch (node.op) {
    case 'value':
      return kindOfConstant(node);
    case 'id': {
      if (Object.hasOwn(names, node.args)) return names[node.args]!;
      throw refused(node, `it names "${node.args}"`, knownText(node.args, names));
    }
    case '.':
      return fieldOf(node, of(node.args[0]));
    case '[]':
      requireKind(node.args[1], of(node.args[1]), 'text', 'names an attribute by');
      return fieldOf(node, of(node.args[0]));
    case '!_':
      requireKind(node.args, of(node.args), 'condition', 'negates');
      return 'condition';
    case '-_':
      requireKind(node.args, of(node.args), 'number', 'negates');
      return 'number';
    case 'in': {
      const [left, right] = node.args;
      const kind = of(left);
      if (right.op === 'list') requireConstants(right.args, kind);
      else {
        requireKind(right, of(right), 'map', 'looks into');
        requireKind(left, kind, 'text', 'looks up');
      }
      return 'condition';
    }
    case '?:': {
      const [condition, first, second] = node.args;
      requireKind(condition, of(condition), 'condition', 'chooses by');
      const kind = of(first);
      requireKind(second, of(second), kind, 'chooses');
      return kind;
    }
    case 'call':
    case 'rcall':
      return kindOfCall(node, of, text);
    default:
      return kindOfOperator(node, of);
  }
}

function kindOfConstant(node: ASTNode): Kind {
  switch (typeof node.args) {
    case 'string':
      return 'text';
    case 'number':
    case 'bigint':
      return 'number';
    case 'boolean':
      return 'condition';
    default:
      throw refused(node, 'it has a constant that is no number, text, true or false');
  }
}

function fieldOf(node: ASTNode, left: Kind): Kind {
  if (left === 'map') return 'text';
  throw refused({ start: node.pos }, `it looks for a field of a ${left}`, 'only attributes has some');
}

function kindOfOperator(node: ASTNode, of: (part: ASTNode) => Kind): Kind {
  const isArithmetic = ARITHMETIC.includes(node.op);
  const isCombination = node.op === '&&' || node.op === '||';
  if (isArithmetic || isCombination || COMPARISON.includes(node.op)) {
    const parts = node.args as [ASTNode, ASTNode];
    const [left, right] = parts.map((part) => {
      const kind = of(part);
      if (isArithmetic) requireKind(part, kind, 'number', 'calculates with');
      else if (isCombination) requireKind(part, kind, 'condition', 'combines');
      else if (kind === 'map') throw refused(part, 'it compares attributes as a whole', 'compare each');
      return kind;
    }) as [Kind, Kind];
    requireKind(parts[1], right, left, `compares a ${left} with`);
    return isArithmetic ? 'number' : 'condition';
  }
  if (node.op === 'list') throw refused(node, 'it has a list', 'only the right side of in can be one');
  throw refused(node, node.op === 'map' ? 'it has a map' : `it uses ${node.op}`);
}

function kindOfCall(node: ASTNode & { op: 'call' | 'rcall' }, of: (part: ASTNode) => Kind, text: string): Kind {
  const [name] = node.args;
  const operands: readonly ASTNode[] = node.op === 'call' ? node.args[1] : [node.args[1], ...node.args[2]];
  if (name === 'size' && operands.length === 1) {
    const kind = of(operands[0]!);
    if (kind !== 'text' && kind !== 'map') throw refused(node, `it takes the size of a ${kind}`);
    return 'number';
  }
  if (node.op === 'call' && name === 'has' && operands.length === 1) {
    if (operands[0]!.op !== '.') throw refused(node, 'it calls has() without a field', 'write has(attributes.color)');
    of(operands[0]!);
    return 'condition';
  }
  if (node.op === 'rcall' && TEXT_METHODS.includes(name) && operands.length === 2) {
    for (const operand of operands) requireKind(operand, of(operand), 'text', `calls ${name}() with`);
    return 'condition';
  }
  // The node of a method begins with what it is called on.
  const start = node.op === 'call' ? node.start : text.indexOf(name, node.args[1].end);
  throw refused({ start }, `it calls ${name}()`);
}

function knownText(name: string, names: KnownNames): string {
  const known = Object.keys(names);
  const nearest = closest(name, known);
  if (distance(name, nearest) <= Math.max(1, nearest.length / 3))
    return `did you mean "${nearest}"? It knows ${known.join(', ')}`;
  return `it knows ${known.join(', ')}, and texts in quotes, as "${name}"`;
}

/** Lists of constants are as long as they are written. @param wanted - what is looked for in it. */
function requireConstants(elements: readonly ASTNode[], wanted: Kind): void {
  for (const element of elements) {
    const value = element.op === '-_' ? element.args : element;
    if (value.op !== 'value') throw refused(element, 'its list has more than constants');
    const kind = kindOfConstant(value);
    if (value !== element) requireKind(value, kind, 'number', 'negates');
    requireKind(element, kind, wanted, `looks for a ${wanted} in a list with`);
  }
}

function requireKind(node: ASTNode, kind: Kind, wanted: Kind, does: string): void {
  if (kind !== wanted) throw refused(node, `it ${does} a ${kind}`, `expected a ${wanted}`);
}

function refused({ start }: Pick<ASTNode, 'start'>, what: string, instead = ALLOWED): Refused {
  return new Refused(`${what} at character ${start + 1}; ${instead}`);
}
