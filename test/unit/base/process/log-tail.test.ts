import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { LogTail, lastLines } from '../../../../src/base/process/log-tail.ts';

describe('LogTail', () => {
  it('keeps the end of a log, with characters that were split between chunks', async () => {
    const log = new PassThrough();
    const tail = new LogTail(log, 6);
    const bytes = Buffer.from('abcdefgü\n');
    log.write(bytes.subarray(0, 8));
    log.end(bytes.subarray(8));
    await new Promise((resolve) => log.once('close', resolve));
    expect(tail.text).toBe('defgü\n');
  });
});

describe('lastLines', () => {
  it.each([
    ['a\n\nb\n  \nc\n', 2, ['b', 'c']],
    ['a', 3, ['a']],
    ['\n', 1, []],
  ])('of %j, at most %i', (log, count, expected) => {
    expect(lastLines(log, count)).toEqual(expected);
  });
});
