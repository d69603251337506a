import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configTable, describeConfig } from '../../src/serve/pipeline/describe.ts';

/** Set to rewrite the table of `docs/config.md` before it is compared. */
const MUST_WRITE = process.env.UPDATE_DOCS === '1';
const CONFIG_DOC = 'docs/config.md';
const TABLE = /\| key \| type \| default \| meaning \|\n(?:\|.*\n)+/;

describe('docs/config.md', () => {
  const rows = describeConfig();

  it('has every key, with type, default and meaning as in the schemas', () => {
    const text = readFileSync(CONFIG_DOC, 'utf8');
    if (MUST_WRITE)
      writeFileSync(
        CONFIG_DOC,
        text.replace(TABLE, () => `${configTable()}\n`),
      );
    const table = TABLE.exec(readFileSync(CONFIG_DOC, 'utf8'))?.[0];
    expect(table, 'UPDATE_DOCS=1 npm run vitest -- test/rules/documented.test.ts rewrites it').toBe(
      `${configTable()}\n`,
    );
  });

  it('describes every key in a sentence', () => {
    expect(rows.filter(({ doc }) => !/^[A-Za-z].{5,}\.$/.test(doc)).map(({ key }) => key)).toEqual([]);
  });

  it('names every key once', () => {
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
  });

  it('has keys of sections, of lists, of unions and of unions in lists', () => {
    const keys = rows.map(({ key }) => key);
    for (const key of [
      'name',
      'batch.maxDelayMs',
      'streams[].target.fps',
      'streams[].track.highScore',
      'streams[].zones[].polygon',
      'sinks[type=webhook].maxAttempts',
    ])
      expect(keys).toContain(key);
  });
});
