import { describe, expect, it } from 'vitest';
import { FullLoad } from '../../../../src/control/rollout/full-load.ts';
import { sideObservation } from '../../../support/rollout-doubles.ts';

const FPS = 10;
/** Shortly after the candidate is alone. */
const NOW_MS = 200_000;

/** Seconds of one stream on one side, from a time on. */
function observe(
  load: FullLoad,
  stream: string,
  side: 'control' | 'candidate',
  fps: number,
  fromS: number,
  toS: number,
) {
  const isAlone = fromS >= 100;
  for (let second = fromS; second < toS; second += 1)
    load.add(sideObservation({ stream, side, frames: fps, seconds: 1 }), isAlone, 'control', second * 1000);
}

/** Streams that the control ran at 10 frames/s for 50 s; alone from second 100 on. */
function carried(streams: readonly string[]): FullLoad {
  const load = new FullLoad();
  load.begin(false, 0);
  for (const stream of streams) observe(load, stream, 'control', FPS, 50, 100);
  load.begin(true, 100_000);
  return load;
}

describe('a candidate that carries all streams alone', () => {
  it('passes once every stream has its rate of before', () => {
    const load = carried(['a', 'b']);
    expect(load.report(NOW_MS).verdict).toBe('no-data');
    observe(load, 'a', 'candidate', FPS, 100, 110);
    expect(load.report(NOW_MS).verdict, 'b has not been seen').toBe('undecided');
    observe(load, 'b', 'candidate', FPS, 100, 110);
    expect(load.report(NOW_MS)).toMatchObject({ verdict: 'pass', estimate: 0 });
  });

  it('fails if the streams together lose a tenth for 20 s', () => {
    const load = carried(['a', 'b']);
    for (const stream of ['a', 'b']) observe(load, stream, 'candidate', 6, 100, 119);
    expect(load.report(NOW_MS).verdict, 'too early').toBe('undecided');
    for (const stream of ['a', 'b']) observe(load, stream, 'candidate', 6, 119, 121);
    expect(load.report(NOW_MS)).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('40.0 %') });
  });

  it('is never passed while one of many streams is slow', () => {
    const names = Array.from({ length: 20 }, (_, i) => `camera-${i}`);
    const load = carried(names);
    for (const name of names) observe(load, name, 'candidate', name === 'camera-7' ? 5 : FPS, 100, 160);
    expect(load.report(NOW_MS)).toMatchObject({ verdict: 'undecided', reason: expect.stringContaining('camera-7') });
  });

  it('does not wait for a stream that had ended before', () => {
    const load = new FullLoad();
    load.begin(false, 0);
    observe(load, 'gone', 'control', FPS, 10, 40);
    observe(load, 'there', 'control', FPS, 10, 100);
    load.begin(true, 100_000);
    observe(load, 'there', 'candidate', FPS, 100, 120);
    expect(load.report(NOW_MS).verdict).toBe('pass');
  });

  it('waits ten minutes for a stream that has not come back, and not forever', () => {
    const load = carried(['lost', 'there']);
    observe(load, 'there', 'candidate', FPS, 100, 700);
    expect(load.report(699_000).verdict).toBe('undecided');
    expect(load.report(700_000).verdict).toBe('pass');
  });

  it('is not passed if nothing is known from before', () => {
    const load = new FullLoad();
    load.begin(true, 100_000);
    observe(load, 'a', 'candidate', FPS, 100, 200);
    expect(load.report(NOW_MS).verdict).toBe('no-data');
  });

  it('is compared with the newest step that the reference was seen in', () => {
    const load = new FullLoad();
    load.begin(false, 0);
    observe(load, 'a', 'control', 30, 0, 20);
    load.begin(false, 20_000);
    observe(load, 'a', 'control', FPS, 80, 100);
    load.begin(true, 100_000);
    observe(load, 'a', 'candidate', FPS, 100, 130);
    expect(load.report(NOW_MS).verdict).toBe('pass');
  });

  it('goes on from its state after JSON', () => {
    const load = carried(['a']);
    observe(load, 'a', 'candidate', FPS, 100, 110);
    const copy = new FullLoad(JSON.parse(JSON.stringify(load.state)));
    expect(copy.report(NOW_MS)).toEqual(load.report(NOW_MS));
  });
});
