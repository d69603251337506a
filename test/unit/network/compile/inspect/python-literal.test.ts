import { describe, expect, it } from 'vitest';
import { parsePythonLiteral } from '../../../../../src/network/compile/inspect/python-literal.ts';

describe('a Python literal', () => {
  // Texts as printed by python3 -c 'print(repr(...))'.
  it.each<[string, [string, unknown][]]>([
    [
      `{0: 'person', 1: "driver's hat"}`,
      [
        ['0', 'person'],
        ['1', "driver's hat"],
      ],
    ],
    [
      `{0: 'box, open', 1: 'Tür: blau', 2: 'a\\'b"c'}`,
      [
        ['0', 'box, open'],
        ['1', 'Tür: blau'],
        ['2', `a'b"c`],
      ],
    ],
    [
      `{0: 'tab\\there', 1: 'back\\\\slash', 2: '\\x7f\\u2603\\U0001f600'}`,
      [
        ['0', 'tab\there'],
        ['1', 'back\\slash'],
        ['2', '\x7f☃😀'],
      ],
    ],
    [
      `{'a': {'b': None}, 'c': (1, 2.5, -3e2), }`,
      [
        ['a', new Map([['b', null]])],
        ['c', [1, 2.5, -300]],
      ],
    ],
    [
      `{"0": "json", "1": true}`,
      [
        ['0', 'json'],
        ['1', true],
      ],
    ],
  ])('%s', (text, entries) => {
    expect(parsePythonLiteral(text)).toEqual(new Map(entries));
  });

  it('a list, a tuple of one, a bare number', () => {
    expect(parsePythonLiteral("['a', 'b']")).toEqual(['a', 'b']);
    expect(parsePythonLiteral('(640,)')).toEqual([640]);
    expect(parsePythonLiteral(' 640 ')).toBe(640);
  });

  it.each([
    ['{0: person}', 'expected a literal at character 4'],
    ["{0: 'person'", 'expected , at character 12'],
    ["['a'] + ['b']", 'expected the end at character 6'],
    ["'open", "expected a closing ' at character 5"],
    ["__import__('os')", 'expected a literal at character 0'],
    ['', 'expected a literal at character 0'],
    ["{0: '\\ud8'}", 'expected 4 hex digits at character 6'],
    [`${'['.repeat(100_000)}`, 'expected at most 16 levels at character 17'],
  ])('refuses %s', (text, message) => {
    expect(() => parsePythonLiteral(text)).toThrow(message);
  });
});
