import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { isJsonObject, LineFile } from '../../../../src/after/sinks/line-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-line-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, 'lines.jsonl');
const kind = { firstCharacters: '{', isWhole: isJsonObject };

/** Returns the file's content after it was opened, and how many bytes were removed. */
async function repaired(before: string | Uint8Array): Promise<{ text: string; cutBytes: number }> {
  writeFileSync(path, before);
  const file = await LineFile.open(path, kind);
  await file.close();
  return { text: readFileSync(path, 'latin1'), cutBytes: file.cutBytes };
}

describe('opening', () => {
  it.each([
    ['an empty file', '', '', 0],
    ['whole lines', '{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":2}\n', 0],
    ['an incomplete last line', '{"a":1}\n{"a":2}\n{"a', '{"a":1}\n{"a":2}\n', 3],
    ['only an incomplete line', '{"source":"a.mp', '', 15],
    ['a complete last line without its line break', '{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}\n', 0],
    ['zeros left by a power failure', '{"a":1}\n\0\0\0\0\0', '{"a":1}\n', 5],
    ['nothing but zeros', '\0\0\0\0', '', 4],
    ['bytes that are not text', Buffer.from([0x7b, 0x7d, 0x0a, 0xff, 0xfe, 0x80]), '{}\n', 3],
  ])('%s', async (_, before, text, cutBytes) => {
    expect(await repaired(before)).toEqual({ text, cutBytes });
  });

  it('finds the last line break however far back it is', async () => {
    const half = `{"a":"${'x'.repeat(300_000)}`;
    expect(await repaired(`{"a":1}\n${half}`)).toEqual({ text: '{"a":1}\n', cutBytes: half.length });
  });

  it('rejects a file of another kind and does not change it', async () => {
    const list = '[1,\n2';
    writeFileSync(path, list);
    await expect(LineFile.open(path, kind)).rejects.toThrow(/expected it to begin with \{, found "\["/);
    expect(readFileSync(path, 'utf8')).toBe(list);
  });

  it('writes the header into an empty file only', async () => {
    writeFileSync(path, '');
    for (let i = 0; i < 2; i++) await (await LineFile.open(path, { ...kind, header: '{}\n' })).close();
    expect(readFileSync(path, 'utf8')).toBe('{}\n');
  });
});

describe('a file truncated at any byte', () => {
  it('keeps exactly the complete lines', async () => {
    const value = fc.record({ source: fc.string(), frame: fc.nat(), note: fc.string({ unit: 'binary' }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { minLength: 1, maxLength: 5 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (values, at) => {
          const lines = values.map((each) => JSON.stringify(each));
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const cut = Math.floor(at * bytes.length);
          writeFileSync(path, bytes.subarray(0, cut));
          const file = await LineFile.open(path, kind);
          await file.append(Buffer.from('{"next":true}\n'));
          await file.close();
          // A line is complete if the cut is after its bytes, with or without the line break.
          let end = 0;
          const whole = lines.filter((line) => {
            end += Buffer.byteLength(line);
            const isThere = cut >= end;
            end += 1;
            return isThere;
          });
          expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toEqual([...whole, '{"next":true}']);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a file that was moved', () => {
  it('is detected', async () => {
    writeFileSync(path, '');
    const file = await LineFile.open(path, kind);
    expect(await file.isMoved()).toBe(false);
    rmSync(path);
    expect(await file.isMoved()).toBe(true);
    writeFileSync(path, '');
    expect(await file.isMoved()).toBe(true);
    await file.close();
  });
});
