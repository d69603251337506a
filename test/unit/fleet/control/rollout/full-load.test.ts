import { describe, expect, it } from 'vitest';
import { FullLoad } from '../../../../../src/fleet/control/rollout/full-load.ts';
import type { GuardSettings } from '../../../../../src/wire/protocol/rollout-records.ts';
import { sideObservation } from '../../../../support/rollout-doubles.ts';

const FPS = 10;
/** The candidate is alone from this second on. */
const ALONE_S = 100;

/** Seconds of one stream on one side, from a time on. */
function observe(
  load: FullLoad,
  stream: string,
  side: 'control' | 'candidate',
  fps: number,
  fromS: number,
  toS: number,
  boxesPerFrame = 1,
  dropped = 0,
) {
  const isAlone = fromS >= ALONE_S;
  for (let second = fromS; second < toS; second += 1) {
    const seen = { stream, side, frames: fps, dropped, seconds: 1, boxes: fps * boxesPerFrame };
    load.add(sideObservation(seen), isAlone, 'control', 20, second * 1000);
  }
}

/** A camera sends 10 frames/s, of which the candidate drops some. */
function observeDrops(load: FullLoad, stream: string, dropped: number, fromS: number, toS: number): void {
  observe(load, stream, 'candidate', FPS - dropped, fromS, toS, 1, dropped);
}

/** Streams that both sides ran in turns at 10 frames/s for 50 s; alone from second 100 on. */
function carried(streams: readonly string[], guards: object = {}): FullLoad {
  const load = new FullLoad(guards as GuardSettings);
  load.begin(false, 0);
  for (const stream of streams) {
    observe(load, stream, 'control', FPS, 50, 75);
    observe(load, stream, 'candidate', FPS, 75, 100);
  }
  load.begin(true, 100_000);
  return load;
}

describe('a candidate that carries all streams alone', () => {
  it('passes once every stream has its rate of before', () => {
    const load = carried(['a', 'b']);
    expect(load.report(101_000).verdict).toBe('no-data');
    observe(load, 'a', 'candidate', FPS, 100, 110);
    expect(load.report(110_000).verdict, 'b has not been seen').toBe('undecided');
    observe(load, 'b', 'candidate', FPS, 100, 110);
    expect(load.report(110_000)).toMatchObject({ verdict: 'pass', estimate: 0 });
  });

  it('fails if the streams together lose a tenth for 20 s', () => {
    const load = carried(['a', 'b']);
    for (const stream of ['a', 'b']) observeDrops(load, stream, 4, 100, 119);
    expect(load.report(119_000).verdict, 'too early').toBe('undecided');
    for (const stream of ['a', 'b']) observeDrops(load, stream, 4, 119, 121);
    expect(load.report(121_000)).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('40 %') });
  });

  it('is never passed while one of many streams is slow', () => {
    const names = Array.from({ length: 20 }, (_, i) => `camera-${i}`);
    const load = carried(names);
    for (const name of names) observeDrops(load, name, name === 'camera-7' ? 5 : 0, 100, 160);
    expect(load.report(160_000)).toMatchObject({ verdict: 'undecided', reason: expect.stringContaining('camera-7') });
  });

  it('does not fail if all cameras send less, as at night, and a person decides', () => {
    const cameras = ['a', 'b', 'c', 'd'];
    const load = carried(cameras);
    for (const camera of cameras) observe(load, camera, 'candidate', 7, 100, 160);
    expect(load.report(160_000)).toMatchObject({
      verdict: 'undecided',
      estimate: 0,
      reason: expect.stringContaining('fewer frames of a, b, c and 1 more arrive than before'),
    });
    for (const camera of cameras) observe(load, camera, 'candidate', FPS, 160, 500);
    expect(load.report(500_000).verdict, 'it is day again').toBe('pass');
  });

  it('fails if it drops a tenth of what arrives while cameras send less', () => {
    const load = carried(['a', 'b']);
    for (const stream of ['a', 'b']) observe(load, stream, 'candidate', 5, 100, 125, 1, 2);
    expect(load.report(125_000)).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('28.6 %') });
  });

  it('fails if it publishes nothing of what arrives', () => {
    const load = carried(['a', 'b']);
    for (const stream of ['a', 'b']) observeDrops(load, stream, FPS, 100, 125);
    expect(load.report(125_000)).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('100 %') });
  });

  it('may drop as much as the control dropped', () => {
    const load = new FullLoad({});
    load.begin(false, 0);
    observe(load, 'a', 'control', 5, 50, 75, 1, 5);
    observe(load, 'a', 'candidate', 5, 75, 100, 1, 5);
    load.begin(true, 100_000);
    observeDrops(load, 'a', 5, 100, 130);
    expect(load.report(130_000).verdict).toBe('pass');
  });

  it('is not passed while a camera runs that was added in this step, though the others pass', () => {
    const load = carried(['a', 'b', 'c']);
    for (const stream of ['a', 'b', 'c']) observe(load, stream, 'candidate', FPS, 100, 160);
    expect(load.report(160_000).verdict).toBe('pass');
    observe(load, 'new', 'candidate', FPS, 130, 160, 0);
    expect(load.report(160_000)).toMatchObject({
      verdict: 'undecided',
      leftMs: null,
      reason: 'Not compared before this step: new; a person decides.',
    });
    for (const stream of ['a', 'b', 'c']) observe(load, stream, 'candidate', FPS, 160, 760);
    expect(load.report(760_000).verdict, 'it was removed').toBe('pass');
  });

  it('is not passed with a camera that only the control ran before', () => {
    const load = carried(['a']);
    load.begin(false, 0);
    observe(load, 'late', 'control', FPS, 95, 100);
    load.begin(true, 100_000);
    for (const stream of ['a', 'late']) observe(load, stream, 'candidate', FPS, 100, 160);
    expect(load.report(160_000)).toMatchObject({ verdict: 'undecided', reason: expect.stringMatching(/: late;/) });
  });

  it('does not wait for a stream that had ended before', () => {
    const load = new FullLoad({});
    load.begin(false, 0);
    observe(load, 'gone', 'control', FPS, 10, 40);
    observe(load, 'there', 'control', FPS, 10, 50);
    observe(load, 'there', 'candidate', FPS, 50, 100);
    load.begin(true, 100_000);
    observe(load, 'there', 'candidate', FPS, 100, 120);
    expect(load.report(120_000).verdict).toBe('pass');
  });

  it('waits ten minutes for a stream that has not come back, and not forever', () => {
    const load = carried(['lost', 'there']);
    observe(load, 'there', 'candidate', FPS, 100, 700);
    expect(load.report(699_000).verdict).toBe('undecided');
    expect(load.report(700_000).verdict).toBe('pass');
  });

  it('is not passed if nothing is known from before', () => {
    const load = new FullLoad({});
    load.begin(true, 100_000);
    observe(load, 'a', 'candidate', FPS, 100, 200);
    expect(load.report(200_000).verdict).toBe('no-data');
  });

  it('is compared with the newest step that the reference was seen in', () => {
    const load = new FullLoad({});
    load.begin(false, 0);
    observe(load, 'a', 'control', 30, 0, 20);
    load.begin(false, 20_000);
    observe(load, 'a', 'control', FPS, 80, 90);
    observe(load, 'a', 'candidate', FPS, 90, 100);
    load.begin(true, 100_000);
    observe(load, 'a', 'candidate', FPS, 100, 130);
    expect(load.report(130_000).verdict).toBe('pass');
  });

  it('goes on from its state after JSON', () => {
    const load = carried(['a']);
    observe(load, 'a', 'candidate', FPS, 100, 110);
    const copy = new FullLoad({}, JSON.parse(JSON.stringify(load.state)));
    expect(copy.report(110_000)).toEqual(load.report(110_000));
    expect(copy.report(300_000)).toEqual(load.report(300_000));
  });

  it('waits for a stream that runs only now and then, as with a host that dies again and again', () => {
    const load = carried(['a', 'b']);
    observe(load, 'b', 'candidate', FPS, 100, 160);
    for (const fromS of [100, 120, 140]) observe(load, 'a', 'candidate', FPS, fromS, fromS + 10);
    expect(load.report(160_000)).toMatchObject({
      verdict: 'undecided',
      reason: expect.stringMatching(/a ran for less/),
      // It ran for 30 s of 60: in 65 s more it has run for 95 s of 125, which is 80 % but for the five seconds of a change.
      leftMs: expect.closeTo(65_000),
    });
    observe(load, 'a', 'candidate', FPS, 160, 280);
    observe(load, 'b', 'candidate', FPS, 160, 280);
    expect(load.report(280_000).verdict, 'one bad minute of three').toBe('pass');
  });

  it('goes on without a stream that was paused in mid-step, after ten minutes', () => {
    const load = carried(['paused', 'there']);
    observe(load, 'paused', 'candidate', FPS, 100, 120);
    observe(load, 'there', 'candidate', FPS, 100, 800);
    expect(load.report(300_000).verdict).toBe('undecided');
    expect(load.report(719_000).verdict).toBe('pass');
  });

  it('a person decides where most frames take twice as long as they usually did', () => {
    const load = carried(['a', 'b']);
    const late = (stream: string, latencyMs: number, fromS: number, toS: number): void => {
      for (let second = fromS; second < toS; second += 1) {
        const latenciesMs = Array.from({ length: FPS }, (_, i) => (i < 6 ? latencyMs : 20));
        const seen = sideObservation({ stream, side: 'candidate', frames: FPS, seconds: 1, boxes: FPS, latenciesMs });
        load.add(seen, true, 'control', 20, second * 1000);
      }
    };
    late('a', 39, 100, 130);
    late('b', 41, 100, 130);
    expect(load.report(130_000)).toMatchObject({
      verdict: 'undecided',
      reason: 'Alone, most frames of b take more than 2 times as long as usual; a person decides.',
    });
    late('a', 20, 130, 160);
    late('b', 20, 130, 160);
    expect(load.report(160_000).verdict, 'the machine was busy for a while').toBe('pass');
  });

  describe('beside other processes', () => {
    const BUSY = 0.5;
    /** Seconds of both streams with the candidate alone, four of ten frames lost. */
    function lossy(load: FullLoad, fromS: number, toS: number, othersRatio: number, dropped = 4): void {
      for (let second = fromS; second < toS; second += 1)
        for (const stream of ['a', 'b']) {
          const frames = FPS - dropped;
          const seen = { stream, side: 'candidate' as const, frames, dropped, seconds: 1, boxes: frames, othersRatio };
          load.add(sideObservation(seen), true, 'control', 20, second * 1000);
        }
    }

    it('is neither failed nor passed for what it loses while they are busy, and says who was busy and what to do', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 160, BUSY);
      expect(load.report(160_000)).toMatchObject({
        verdict: 'undecided',
        leftMs: 540_000,
        reason: expect.stringMatching(
          /^Other processes took 50 % of the CPU for 60 s .* stop them, or promote by hand/,
        ),
      });
    });

    it('is judged by 45 s without them', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 160, BUSY);
      lossy(load, 160, 190, 0.03, 0);
      expect(load.report(190_000), 'a third of the time').toMatchObject({ verdict: 'undecided', leftMs: 45_000 });
      lossy(load, 190, 206, 0.03, 0);
      expect(load.report(206_000).verdict).toBe('pass');
    });

    it('fails for what it loses without them', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 160, BUSY);
      lossy(load, 160, 181, 0.03);
      expect(load.report(181_000)).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('40 %') });
    });

    it('fails for what it loses by its own use of the CPU, which is not that of others', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 125, 0);
      expect(load.report(125_000).verdict).toBe('fail');
    });

    it('passes if it loses nothing although they are busy', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 160, BUSY, 0);
      expect(load.report(160_000).verdict).toBe('pass');
    });

    it('is compared with the time before in which they were as busy', () => {
      const afterLosing = (dropped: number): FullLoad => {
        const load = new FullLoad({});
        load.begin(false, 0);
        for (const stream of ['a', 'b'])
          for (const side of ['control', 'candidate'] as const)
            for (let second = 50; second < 75; second += 1) {
              const frames = FPS - dropped;
              const seen = { stream, side, frames, dropped, seconds: 1, boxes: frames, othersRatio: BUSY };
              load.add(sideObservation(seen), false, 'control', 20, second * 1000);
            }
        load.begin(true, 100_000);
        lossy(load, 100, 160, BUSY);
        return load;
      };
      expect(afterLosing(4).report(160_000).verdict, 'as much as the control lost').toBe('pass');
      expect(afterLosing(0).report(160_000).verdict, 'the control lost nothing').toBe('fail');
    });

    it('needs the control beside it if they were busy for ten minutes and hardly ever not', () => {
      const load = carried(['a', 'b']);
      lossy(load, 100, 140, 0, 0);
      lossy(load, 140, 739, BUSY);
      expect(load.needsControl).toBe(false);
      lossy(load, 739, 740, BUSY);
      expect(load.needsControl).toBe(true);
      lossy(load, 740, 745, 0, 0);
      expect(load.needsControl, '45 s decide').toBe(false);
    });

    it('is blind also while they are busy', () => {
      const streams = ['a', 'b', 'c'];
      const load = carried(streams);
      for (const stream of streams)
        for (let second = 100; second < 121; second += 1) {
          const seen = { stream, side: 'candidate' as const, frames: 6, dropped: 4, seconds: 1, boxes: 0 };
          load.add(sideObservation({ ...seen, othersRatio: BUSY }), true, 'control', 20, second * 1000);
        }
      expect(load.report(121_000)).toMatchObject({ verdict: 'fail' });
    });
  });

  it('what a guard that is off judges does not count', () => {
    const lossy = (guards: object, seen: object): string => {
      const load = carried(['a', 'b', 'c'], guards);
      for (const stream of ['a', 'b', 'c'])
        for (let second = 100; second < 130; second += 1) {
          const usual = { stream, side: 'candidate' as const, frames: FPS, seconds: 1, boxes: FPS };
          load.add(sideObservation({ ...usual, ...seen }), true, 'control', 20, second * 1000);
        }
      return load.report(130_000).verdict;
    };
    const cases: [string, object, string][] = [
      ['drops', { frames: 6, dropped: 4 }, 'fail'],
      ['fps', { frames: 6 }, 'undecided'],
      ['p99', { latenciesMs: [50] }, 'undecided'],
      ['boxes', { boxes: 0 }, 'fail'],
    ];
    for (const [guard, seen, verdict] of cases) {
      expect(lossy({}, seen), guard).toBe(verdict);
      expect(lossy({ [guard]: { isOn: false } }, seen), `${guard} is off`).toBe('pass');
    }
  });

  describe('reports boxes as in its turns', () => {
    /** Both sides saw two objects in each frame of each stream while they took turns. */
    function compared(streams: readonly string[]): FullLoad {
      const load = new FullLoad({});
      load.begin(false, 0);
      for (const stream of streams) {
        observe(load, stream, 'control', FPS, 50, 75, 2);
        observe(load, stream, 'candidate', FPS, 75, 100, 2);
      }
      load.begin(true, 100_000);
      return load;
    }
    const alone = (load: FullLoad, streams: readonly string[], boxesPerFrame: number): FullLoad => {
      for (const stream of streams) observe(load, stream, 'candidate', FPS, 100, 130, boxesPerFrame);
      return load;
    };

    it('so it fails where it is blind on several streams once nobody compares it', () => {
      const streams = ['a', 'b', 'c'];
      expect(alone(compared(streams), streams, 0).report(130_000)).toMatchObject({
        verdict: 'fail',
        reason: 'Alone, the candidate reports 0 % of the boxes that it reported in its turns.',
      });
    });

    it('a person decides where two streams may have become empty by themselves', () => {
      const load = alone(compared(['a', 'b']), ['a', 'b'], 0);
      expect(load.report(130_000)).toMatchObject({ verdict: 'undecided', reason: expect.stringMatching(/person/) });
      for (const stream of ['a', 'b']) observe(load, stream, 'candidate', FPS, 130, 200, 2);
      expect(load.report(200_000).verdict, 'objects came back').toBe('pass');
    });

    it('a person decides about one blind stream of many', () => {
      const streams = Array.from({ length: 20 }, (_, i) => `camera-${i}`);
      const load = alone(compared(streams), streams.slice(1), 2);
      alone(load, ['camera-0'], 0);
      expect(load.report(130_000)).toMatchObject({
        verdict: 'undecided',
        reason: expect.stringContaining('less than 10 % of the boxes that it reported in its turns on camera-0'),
      });
    });

    it('it passes with fewer objects in the picture, and where hardly any was before', () => {
      const streams = ['a', 'b', 'c'];
      expect(alone(compared(streams), streams, 1.2).report(130_000).verdict).toBe('pass');
      const dark = new FullLoad({});
      dark.begin(false, 0);
      for (const stream of streams)
        for (const side of ['control', 'candidate'] as const) observe(dark, stream, side, FPS, 50, 100, 0);
      dark.begin(true, 100_000);
      expect(alone(dark, streams, 0).report(130_000).verdict).toBe('pass');
    });
  });
});
