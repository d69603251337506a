import { describe, expect, it } from 'vitest';
import { TargetWatch } from '../../../../src/frame/telemetry/target-watch.ts';

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

  it('reports a recovery once, when it has lasted half a minute', () => {
    const watch = new TargetWatch();
    expect(tell(watch, `------${'+'.repeat(40)}`)).toEqual(['missed at 5', 'met at 36']);
    expect(watch.isMissing).toBe(false);
  });

  it('reports a rate that swings around its target once, not each time', () => {
    // Missed and met nine times in two minutes, if a recovery took as long as a miss.
    expect(tell(new TargetWatch(), '-------+++++++'.repeat(9))).toEqual(['missed at 5']);
  });

  it('reports the next recovery after five seconds if somebody has changed something; then no more', () => {
    const watch = new TargetWatch();
    watch.trustNext();
    tell(watch, '------++++++');
    expect(watch.isMissing, 'nothing was missed when it was changed').toBe(true);
    watch.trustNext();
    expect(tell(watch, '++++++------++++++', 12)).toEqual(['met at 12', 'missed at 23']);
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
