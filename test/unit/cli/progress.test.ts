import { describe, expect, it } from 'vitest';
import type { CliIo } from '../../../src/cli/cli-io.ts';
import { startProgress } from '../../../src/cli/progress.ts';
import { TextSink } from '../../support/text-sink.ts';

describe('progress without a terminal', () => {
  it('is a line a minute if it is asked for, else nothing', () => {
    let nowMs = 0;
    const linesOf = (everyMinute: boolean): string => {
      nowMs = 0;
      const stderr = new TextSink();
      const progress = startProgress({ stderr } as unknown as CliIo, 'files', { everyMinute, now: () => nowMs });
      for (; nowMs <= 200_000; nowMs += 500) progress.update(nowMs, 400_000, `${nowMs / 1000} s`);
      progress.stop();
      return stderr.text;
    };
    expect(linesOf(true)).toBe('15% | 60 s\n30% | 120 s\n45% | 180 s\n');
    expect(linesOf(false)).toBe('');
  });
});
