import { describe, expect, it } from 'vitest';
import { TargetWatch } from '../../../src/telemetry/target-watch.ts';

/** Feeds one measurement per second, `+` met and `-` missed, and records the reported changes. */
function tell(watch: TargetWatch, measured: string, fromS = 0): string[] {
  return [...measured].flatMap((sign, i) => {
    const change = watch.update(sign === '+', (fromS + i) * 1000);
    return change === null ? [] : [`${change} at ${fromS + i}`];
  });
}

describe('TargetWatch', () => {
  it('reports a miss once, when it has lasted five seconds', () => {
    expect(tell(new TargetWatch(), '++----------')).toEqual(['missed at 7']);
  });

  it('reports a recovery once, when it has lasted five seconds', () => {
    const watch = new TargetWatch();
    expect(tell(watch, '------++++++++++')).toEqual(['missed at 5', 'met at 11']);
    expect(watch.isMissing).toBe(false);
  });

  it('ignores misses and recoveries that do not last', () => {
    expect(tell(new TargetWatch(), '----+----+----+----+')).toEqual([]);
    expect(tell(new TargetWatch(), '------++++-++++-++++')).toEqual(['missed at 5']);
  });

  it('restarts its timer after a pause', () => {
    const watch = new TargetWatch();
    tell(watch, '----');
    watch.pause();
    expect(tell(watch, '------', 60)).toEqual(['missed at 65']);
  });
});
