import type { ASTNode, ASTOperator } from '@marcbachmann/cel-js';

/** What a part of a condition gives, as far as this has to know it. */
type Kind = 'number' | 'text' | 'condition' | 'map';

/** Kinds of all that a condition can name. */
export type KnownNames = Readonly<Record<string, Kind>>;

/** Operators that give a number, of numbers only: texts and lists would grow. */
const ARITHMETIC: readonly ASTOperator[] = ['+', '-', '*', '/', '%'];
/** Operators that give true or false. Which kinds they compare, the type check of CEL knows. */
const COMPARISON: readonly ASTOperator[] = ['==', '!=', '<', '<=', '>', '>=', '&&', '||'];
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
 * @returns what is refused and where, as the end of a sentence; null if nothing is.
 */
export function refusedSyntax(tree: ASTNode, names: KnownNames): string | null {
  try {
    kindOf(tree, names);
    return null;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

function kindOf(node: ASTNode, names: KnownNames): Kind {
  const of = (part: ASTNode): Kind => kindOf(part, names);
  switch (node.op) {
    case 'value':
      return kindOfConstant(node);
    case 'id': {
      if (Object.hasOwn(names, node.args)) return names[node.args]!;
      throw refused(node, `it names "${node.args}"`, `it knows ${Object.keys(names).join(', ')}`);
    }
    case '.':
      return fieldOf(node, of(node.args[0]));
    case '[]':
      requireKind(node.args[1], of(node.args[1]), 'text', 'names an attribute by');
      return fieldOf(node, of(node.args[0]));
    case '!_':
      of(node.args);
      return 'condition';
    case '-_':
      requireKind(node.args, of(node.args), 'number', 'negates');
      return 'number';
    case 'in': {
      const [left, right] = node.args;
      of(left);
      if (right.op === 'list') requireConstants(right.args);
      else requireKind(right, of(right), 'map', 'looks into');
      return 'condition';
    }
    case '?:': {
      const [condition, first, second] = node.args;
      of(condition);
      const kind = of(first);
      requireKind(second, of(second), kind, 'chooses');
      return kind;
    }
    case 'call':
    case 'rcall':
      return kindOfCall(node, of);
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
  throw refused(node, `it looks for a field of a ${left}`, 'only attributes has some');
}

function kindOfOperator(node: ASTNode, of: (part: ASTNode) => Kind): Kind {
  const isArithmetic = ARITHMETIC.includes(node.op);
  if (isArithmetic || COMPARISON.includes(node.op)) {
    for (const part of node.args as [ASTNode, ASTNode]) {
      const kind = of(part);
      if (isArithmetic) requireKind(part, kind, 'number', 'calculates with');
      else if (kind === 'map') throw refused(part, 'it compares attributes as a whole', 'compare each');
    }
    return isArithmetic ? 'number' : 'condition';
  }
  if (node.op === 'list') throw refused(node, 'it has a list', 'only the right side of in can be one');
  throw refused(node, node.op === 'map' ? 'it has a map' : `it uses ${node.op}`);
}

function kindOfCall(node: ASTNode & { op: 'call' | 'rcall' }, of: (part: ASTNode) => Kind): Kind {
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
  throw refused(node, `it calls ${name}()`);
}

/** Lists of constants are as long as they are written. */
function requireConstants(elements: readonly ASTNode[]): void {
  for (const element of elements) {
    const value = element.op === '-_' ? element.args : element;
    if (value.op !== 'value') throw refused(element, 'its list has more than constants');
    const kind = kindOfConstant(value);
    if (value !== element) requireKind(value, kind, 'number', 'negates');
  }
}

function requireKind(node: ASTNode, kind: Kind, wanted: Kind, does: string): void {
  if (kind !== wanted) throw refused(node, `it ${does} a ${kind}`, `expected a ${wanted}`);
}

function refused({ start }: ASTNode, what: string, instead = ALLOWED): Refused {
  return new Refused(`${what} at character ${start + 1}; ${instead}`);
}
