import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { compileExpression, type RuleFacts } from '../../../../src/settings/config/expression.ts';
import { nestedBinds } from '../../../support/nested-binds.ts';

const facts: RuleFacts = {
  label: 'car',
  score: 0.9,
  age: 3,
  held: 2,
  size: 0.2,
  speed: 4,
  count: 2,
  hour: 23,
  attributes: { color: 'red', plate: '5AU5341' },
};

/** Steps of CEL's evaluation: the library gives each node its own `evaluate` at its first one, so all pass through here. */
let steps = 0;
const shared = Object.getPrototypeOf(new Environment().parse('1').ast) as object;
const before = Object.getOwnPropertyDescriptor(shared, 'evaluate')!;
type Evaluate = (this: ASTNode, ...operands: unknown[]) => unknown;
beforeAll(() => {
  const own = new WeakMap<ASTNode, Evaluate>();
  Object.defineProperty(shared, 'evaluate', {
    configurable: true,
    get(this: ASTNode): Evaluate {
      return (...operands) => {
        steps++;
        return (own.get(this) ?? (before.value as Evaluate)).apply(this, operands);
      };
    },
    set(this: ASTNode, evaluate: Evaluate) {
      own.set(this, evaluate);
    },
  });
});
afterAll(() => void Object.defineProperty(shared, 'evaluate', before));
beforeEach(() => {
  steps = 0;
});

function answerTo(text: string): unknown {
  const expression = compileExpression(text);
  return typeof expression === 'string' ? expression : expression(facts);
}

describe('a condition can', () => {
  it.each<[string, boolean]>([
    ['label == "person" && size > 0.3 && (hour >= 22.0 || hour < 6.0)', false],
    ['attributes.plate == "5AU5341"', true],
    ['attributes["color"] == "red"', true],
    ['speed > 3 && count >= 2', true],
    ['label in ["car", "bus"]', true],
    ['score in [-0.9, 0.9]', true],
    ['"plate" in attributes && !("shape" in attributes)', true],
    ['has(attributes.plate) && !has(attributes.shape)', true],
    ['attributes.plate.startsWith("5AU") && label.endsWith("r") && label.contains("a")', true],
    ['size(label) == 3 && label.size() == 3 && size(attributes) == 2', true],
    ['score * 2.0 - age / 3.0 + -size > 0.5', true],
    ['(hour < 6.0 ? 0.2 : 0.8) < score', true],
    ['// at night\nlabel != "http://x"', true],
  ])('%s', (text, expected) => {
    expect(answerTo(text)).toBe(expected);
  });
});

describe('a condition cannot, and says where', () => {
  it.each([
    ['cel.bind(x, [1, 2], x == x)', 'it calls bind() at character 5; a condition compares, '],
    ['[1, 2].all(x, x > 0)', 'it calls all() at character 8'],
    ['score > 0.5 && ["a"].exists(x, x == label)', 'it calls exists() at character 22'],
    ['["a"].exists_one(x, x == label)', 'it calls exists_one()'],
    ['[1].map(x, x) == [1]', 'it calls map()'],
    ['[1].filter(x, true) == [1]', 'it calls filter()'],
    ['label.matches("(a+)+$")', 'it calls matches()'],
    ['label.//\nmatches("(a+)+$")', 'it calls matches()'],
    ['string(score) == "1"', 'it calls string()'],
    ['label.split("a").size() > 1', 'it calls split()'],
    ['size(label, label) > 1', 'it calls size()'],
    ['label + label == "carcar"', 'it calculates with a text at character 1; expected a number'],
    ['(true ? label : "b") + "a" == "b"', 'it calculates with a text'],
    ['[1] + [2] == [1, 2]', 'it has a list at character 1; only the right side of in can be one'],
    ['label in [label]', 'its list has more than constants at character 11'],
    ['label in [[1]]', 'its list has more than constants'],
    ['label in [-"a"]', 'it negates a text'],
    ['label in {"a": 1}', 'it has a map at character 10'],
    ['attributes == attributes', 'it compares attributes as a whole at character 1'],
    ['label in label', 'it looks into a text at character 10; expected a map'],
    ['attributes.x.y == "a"', 'it looks for a field of a text at character 14; only attributes has some'],
    ['attributes[1] == "a"', 'it names an attribute by a number'],
    ['(true ? label : 1) == "a"', 'it chooses a number at character 17; expected a text'],
    ['label == null', 'it has a constant that is no number, text, true or false'],
    ['label == b"a"', 'it has a constant that is no number, text, true or false'],
    ['colour == "red"', 'it names "colour" at character 1; it knows label, score, '],
    ['has(attributes["a"])', 'it calls has() without a field'],
    ['constructor == "a"', 'it names "constructor"'],
  ])('%s', (text, expected) => {
    expect(answerTo(text)).toContain(expected);
  });

  it.each([
    ['score > 0.5 && scor < 0.9', 'it names "scor" at character 16; did you mean "score"? It knows label, score, '],
    ['label == person', 'it names "person" at character 10; it knows label, score'],
    ['label == person', 'and texts in quotes, as "person"'],
    ['label == "a" || age > "3"', 'it compares a number with a text at character 23; expected a number'],
    ['attributes.color == 5', 'it compares a text with a number at character 21; expected a text'],
    ['true && score', 'it combines a number at character 9; expected a condition'],
    ['age > 2 && !score', 'it negates a number at character 13; expected a condition'],
    ['score ? true : false', 'it chooses by a number at character 1; expected a condition'],
    ['label in ["a", 1]', 'it looks for a text in a list with a number at character 16; expected a text'],
    ['5 in attributes', 'it looks up a number at character 1; expected a text'],
    ['label', 'it gives a text; compare it, as in score > 0.5'],
    ['age > 1 && score + 1 > 2.0', 'it uses the whole number 1 at character 20 together with decimals; write 1.0'],
    ['score in [1]', 'it uses the whole number 1 at character 11 together with decimals; write 1.0'],
    ['size(label) + 0.5 > 1.0', 'no such overload: int + double at character 1'],
    ['score > 0.5 && (label == "(" && (age > 2)', 'the "(" at character 16 is not closed'],
    ['label in ["a", "b"', 'the "[" at character 10 is not closed'],
    ['score > 0.5) && age > 2', 'it has ")" at character 12, and nothing that it closes'],
    ['age > 2 && "abc == label', 'the text that begins at character 12 has no closing quote'],
    ['score > 0.5 &&', 'it ends at character 15, where something is missing'],
    ['score > 1 ? true', 'it ends at character 17 without the ":" of its "?"'],
    ['score = 0.5', 'it cannot be read from "=" at character 7 on: write == to compare'],
    ['score > 0.5 and age > 2', 'it cannot be read from "and" at character 13 on: write &&'],
    ['score > 0,5', 'it cannot be read from "," at character 10 on: write decimals with a point, as 0.5'],
    ['age > 5s', 'it cannot be read from "s" at character 8 on'],
    [' ', 'it is empty'],
  ])('%s', (text, expected) => {
    expect(answerTo(text)).toContain(expected);
  });

  it('be larger than its limits, however it is nested', () => {
    expect(answerTo(Array(400).fill('1').join('<'))).toContain('Exceeded maxAstNodes (500)');
    expect(answerTo(`${'!'.repeat(1900)}true`)).toContain('Exceeded maxAstNodes (500)');
    expect(answerTo(`${'('.repeat(40)}true${')'.repeat(40)}`)).toContain('Exceeded maxDepth (30)');
    expect(answerTo(`score in [${Array(300).fill('1').join(',')}]`)).toContain('Exceeded maxListElements (200)');
    expect(answerTo('!'.repeat(100_000))).toBe('it has 100000 characters, at most 2000');
  });

  it('have lists in lists by cel.bind: refused without a step of it', () => {
    expect(answerTo(nestedBinds(12))).toContain('it calls bind() at character 5');
    expect(steps).toBe(0);
  });
});

describe('5000 hostile conditions', () => {
  const random = seededRandom(7);
  const below = (count: number): number => Math.floor(random() * count);
  const oneOf = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const texts = ['"a"', "'\\u0130\\U0001F600'", '"😀ﬀ\u0301"', 'r"\\"', '"""a\nb"""', '"__proto__"', 'b"\\xff"', '""'];
  const leaves = [
    ...['label', 'score', 'count', 'attributes', 'attributes.color', 'attributes["x"]', 'x', 'cel', 'string', 'null'],
    ...['1', '0', '2.5', '1e300', '9223372036854775807', '0xff', '3u', 'true', 'false', '[]', '{}', ...texts],
  ];
  const shapes: readonly ((part: () => string) => string)[] = [
    (part) => `cel.bind(x, [${Array(8).fill(part()).join(',')}], ${part()})`,
    (part) => `cel.bind(x, ${part()}, x + x == x)`,
    (part) => `[${part()}, ${part()}].${oneOf(['all', 'exists', 'exists_one', 'filter', 'map'])}(x, ${part()})`,
    (part) => `(${part()} + ${part()})`,
    (part) => `(${part()} ${oneOf(['-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>='])} ${part()})`,
    (part) => `(${part()} ${oneOf(['&&', '||'])} ${part()})`,
    (part) => `(${part()} ? ${part()} : ${part()})`,
    (part) => `${oneOf(['!', '-', '!!', '- -'])}${part()}`,
    (part) => `(${part()} in ${part()})`,
    () => `(label in [${Array(below(60)).fill(oneOf(texts)).join(',')}])`,
    (part) => `${oneOf(['size', 'has', 'string', 'int', 'type', 'dyn', 'duration', 'timestamp'])}(${part()})`,
    (part) => `${part()}.${oneOf(['startsWith', 'endsWith', 'contains', 'matches', 'split', 'join'])}(${part()})`,
    (part) => `${part()}[${part()}]`,
    (part) => `${part()}.${oneOf(['a', 'color', 'constructor', '__proto__'])}`,
    (part) => `{${part()}: ${part()}}`,
  ];
  /** These alone are mostly allowed, so that both outcomes come. */
  const tame: readonly ((number: () => string, condition: () => string) => string)[] = [
    (number) => `(${number()} ${oneOf(['<', '>', '<=', '>=', '==', '!='])} ${number()})`,
    (_, condition) => `(${condition()} ${oneOf(['&&', '||', '==', '!='])} ${condition()})`,
    (_, condition) => `(${condition()} ? ${condition()} : ${condition()})`,
    (_, condition) => `!${condition()}`,
    () =>
      `(label in [${Array(1 + below(40))
        .fill('"😀"')
        .join(',')}])`,
    () => `attributes.plate.${oneOf(['startsWith', 'endsWith', 'contains'])}("é")`,
    () => oneOf(['has(attributes.x)', '("x" in attributes)', '(size(label) > 2)']),
  ];
  const hostile = (depth: number): string => (depth === 0 ? oneOf(leaves) : oneOf(shapes)(() => hostile(below(depth))));
  const number = (depth: number): string =>
    depth === 0
      ? oneOf(['score', 'count', '1.5', '-0.0'])
      : `(${number(depth - 1)} ${oneOf(['+', '-', '*', '/'])} ${number(below(depth))})`;
  const condition = (depth: number): string =>
    depth === 0
      ? oneOf(['true', 'score > 0.5'])
      : oneOf(tame)(
          () => number(below(depth)),
          () => condition(below(depth)),
        );

  it('are refused without a step, or take at most one for each part', () => {
    let allowed = 0;
    for (let i = 0; i < 5000; i++) {
      const text = i % 2 === 0 ? hostile(1 + below(7)) : condition(1 + below(7));
      steps = 0;
      const expression = compileExpression(text);
      expect(steps, text).toBe(0);
      if (typeof expression === 'string') continue;
      allowed++;
      try {
        expect(typeof expression(facts), text).toBe('boolean');
      } catch (error) {
        // Such as a division by zero, or an attribute that is not there.
        expect((error as Error).name, text).toBe('EvaluationError');
      }
      expect(steps, text).toBeLessThanOrEqual(500);
    }
    expect(allowed).toBeGreaterThan(1000);
    expect(allowed).toBeLessThan(4000);
  });
});
