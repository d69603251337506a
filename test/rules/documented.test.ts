import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configTable, describeConfig } from '../../src/config/describe.ts';
import { ERROR_CODES } from '../../src/errors/error-codes.ts';

/** Set to write the table of `docs/config.md` anew instead of comparing it. */
const MUST_WRITE = process.env.UPDATE_DOCS === '1';
const CONFIG_DOC = 'docs/config.md';
const TABLE = /\| key \| type \| default \| meaning \|\n(?:\|.*\n)+/;

describe('docs/config.md', () => {
  const rows = describeConfig();

  it('has every key, with its type, default and meaning, as the schemas have them', () => {
    const text = readFileSync(CONFIG_DOC, 'utf8');
    if (MUST_WRITE)
      writeFileSync(
        CONFIG_DOC,
        text.replace(TABLE, () => `${configTable()}\n`),
      );
    const table = TABLE.exec(readFileSync(CONFIG_DOC, 'utf8'))?.[0];
    expect(table, 'UPDATE_DOCS=1 npx vitest run test/rules/documented.test.ts writes it anew').toBe(
      `${configTable()}\n`,
    );
  });

  it('explains every key in a sentence', () => {
    expect(rows.filter(({ doc }) => !/^[A-Za-z].{5,}\.$/.test(doc)).map(({ key }) => key)).toEqual([]);
  });

  it('names every key once', () => {
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
  });

  it('knows keys of every section, of lists, of choices and of choices in lists', () => {
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

describe('docs/errors.md', () => {
  // | `CODE` | exit | retried | meaning | what to do |
  const rows = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map(
    ([, code, rest]) => [code!, ...rest!.split(' | ')] as const,
  );

  it('has every code and none besides, in the order of the table in the source', () => {
    expect(rows.map(([code]) => code)).toEqual(Object.keys(ERROR_CODES));
  });

  it.each(Object.entries(ERROR_CODES))('%s: exit code, retry and meaning are those of the source', (code, entry) => {
    const row = rows.find(([documented]) => documented === code);
    expect(row?.slice(1, 4)).toEqual([String(entry.exit), entry.retryable ? 'yes' : 'no', entry.doc]);
    expect(row?.[4]?.length, 'what to do').toBeGreaterThan(10);
  });
});
