import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

describe('SECURITY.md', () => {
  const text = readFileSync('SECURITY.md', 'utf8');
  const rows = [...text.matchAll(/^\| (?!---|try|who|\*\*)(.+?) \| .+ \| (.+) \|$/gm)].filter(([, , last]) =>
    last!.includes('test/'),
  );

  it('names for every promise a test that exists', () => {
    const promises = text.slice(text.indexOf('## What is promised'), text.indexOf('## Known limits'));
    const lines = promises.split('\n').filter((line) => /^\| (?!---|try|\*\*)/.test(line));
    expect(lines.filter((line) => !line.includes('](test/'))).toEqual([]);
    expect(rows.length).toBe(lines.length);
    const paths = [...promises.matchAll(/\]\((test\/[^)]+)\)/g)].map(([, path]) => path!);
    expect(paths.filter((path) => !existsSync(path))).toEqual([]);
  });
});
