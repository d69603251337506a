import { describe, expect, it } from 'vitest';
import { type FetchState, fetchText, progressTo } from '../../../../src/network/store/fetch-progress.ts';

/** A download whose clock the test sets. */
function download(totalBytes: number | null, isShown = false) {
  const lines: string[] = [];
  const states: FetchState[] = [];
  let nowMs = 0;
  const to = {
    onNotice: (text: string) => lines.push(text),
    ...(isShown ? { onProgress: (state: FetchState) => states.push(state) } : {}),
  };
  const onBytes = progressTo('model a', totalBytes, to, () => nowMs);
  const at = (ms: number, doneBytes: number, stated?: number | null): void => {
    nowMs = ms;
    onBytes(doneBytes, stated);
  };
  return { at, lines, states };
}

describe('the progress of a download', () => {
  it('is a line at most every five seconds, with sizes and the time left', () => {
    const { at, lines } = download(28_600_000);
    at(3000, 600_000);
    at(4900, 2_500_000);
    // 4 MB in 4 s since the first bytes: 24 MB are left.
    at(7000, 4_600_000);
    at(9000, 6_600_000);
    at(12_000, 9_600_000);
    expect(lines).toEqual(['model a: 4.6 of 28.6 MB, 24 s left', 'model a: 9.6 of 28.6 MB, 19 s left']);
  });

  it('never goes back, and the time left is never negative, where files follow each other', () => {
    const { at, lines } = download(28_600_000);
    at(0, 2_000_000);
    at(6000, 100_000);
    at(12_000, 4_000_000);
    expect(lines).toEqual(['model a: 2.0 of 28.6 MB', 'model a: 4.0 of 28.6 MB, 148 s left']);
  });

  it('goes to a listener instead, each time', () => {
    const { at, lines, states } = download(null, true);
    at(0, 1_000_000, 3_000_000);
    at(1000, 2_000_000, 3_000_000);
    expect(lines).toEqual([]);
    expect(states.map(fetchText)).toEqual(['1.0 of 3.0 MB', '2.0 of 3.0 MB, 1 s left']);
  });

  it('leaves out a time or a total that is not known, and never shows a negative one', () => {
    const { at, states } = download(null, true);
    at(0, 1_000_000);
    at(1000, 2_000_000, null);
    at(2000, 5_000_000, 4_000_000);
    expect(states.map(fetchText)).toEqual(['1.0 MB', '2.0 MB', '5.0 of 4.0 MB, 0 s left']);
  });
});
