import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { COLOURS, car, PLATES, StageRig, says, TEXT } from '../../../../support/stage-rig.ts';

const RED = says(0);

describe('which objects a second stage looks at', () => {
  it('per: track looks once at each, and again after the time', () => {
    const rig = new StageRig();
    const stage = rig.add({ again: '1s' });
    const looked: number[] = [];
    for (let ms = 0; ms <= 2500; ms += 100) {
      const before = stage.report(0).looked;
      rig.pass([car(1)], () => RED, ms);
      if (stage.report(0).looked > before) looked.push(ms);
    }
    expect(looked).toEqual([0, 1000, 2000]);
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('per: bestOfTrack looks at most three times, each time at a picture twice as good', () => {
    const rig = new StageRig();
    const stage = rig.add({ per: 'bestOfTrack' });
    const widths: number[] = [];
    for (let i = 0; i < 100; i++) {
      const before = stage.report(0).looked;
      rig.pass(
        [1, 2, 3].map((id) => car(id, [0, 0, 40 + 2 * i, 60], 0.9)),
        () => RED,
      );
      if (stage.report(0).looked > before) widths.push(40 + 2 * i);
    }
    expect(stage.report(0).looked).toBe(9);
    // 40, then at least 80, then at least 160.
    expect(widths).toEqual([40, 80, 160]);
  });

  it('keeps what it was surest of with bestOfTrack, and what is newest else', () => {
    const of = (per: string): unknown => {
      const rig = new StageRig();
      rig.add({ per, ...(per === 'track' ? { again: '50ms' } : {}) });
      rig.pass([car(1, [0, 0, 40, 40])], () => says(0, 0.9));
      return rig.pass([car(1, [0, 0, 400, 400])], () => says(1, 0.5))[0]!.attributes;
    };
    expect(of('bestOfTrack')).toEqual({ a: { label: 'red', score: 0.9, atUs: 0 } });
    expect(of('track')).toEqual({ a: { label: 'green', score: 0.5, atUs: 100_000 } });
  });

  it('takes labels, size and zone into account, and names nothing else as wanted', () => {
    const polygon = [
      [0, 0],
      [0.5, 0],
      [0.5, 1],
      [0, 1],
    ] as const;
    const rig = new StageRig({ zones: [{ id: 'left', polygon: polygon.map(([x, y]) => [x, y]), anchor: 'center' }] });
    const stage = rig.add({ on: { labels: ['car'], minPixels: 20, zone: 'left' } });
    const inside = car(1, [10, 10, 100, 100]);
    const objects: Detection[] = [
      ...[inside, car(2, [10, 10, 100, 19]), car(3, [500, 10, 100, 100])],
      ...[
        { ...car(4), label: 'bus' },
        { classId: 2, label: 'car', score: 1, box: [0, 0, 99, 99] as const },
      ],
    ];
    const dressed = rig.pass(objects, () => RED);
    expect(stage.report(0)).toMatchObject({ wanted: 1, looked: 1, skipped: {} });
    expect(dressed.map(({ attributes }) => attributes?.a?.label)).toEqual([
      'red',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('looks at the largest if there are more than max, and counts the others', () => {
    const rig = new StageRig();
    const stage = rig.add({ max: 2 });
    const objects = [1, 2, 3, 4].map((id) => car(id, [0, 0, 10 * id + 20, 100]));
    const dressed = rig.pass(objects, () => RED);
    expect(dressed.map(({ attributes }) => attributes !== undefined)).toEqual([false, false, true, true]);
    expect(stage.report(0)).toMatchObject({ wanted: 4, looked: 2, skipped: { max: 2 } });
    // Their turn comes with the next frame.
    expect(rig.pass(objects, () => RED).every(({ attributes }) => attributes !== undefined)).toBe(true);
  });

  it('cuts the box of the object, in pixels of the picture, with a margin that stays within it', () => {
    const rig = new StageRig();
    rig.add({ on: { marginRatio: 0.1 } });
    rig.pass([car(1, [0.4, 99.6, 100.3, 60.2])], (crop) => {
      expect(crop.crop).toEqual({ x: 0, y: 94, width: 111, height: 72, pictureWidth: 640 });
      return RED;
    });
    expect.assertions(1);
  });

  it('cuts along key points where it is to, and counts objects whose points do not say how', () => {
    const rig = new StageRig();
    const stage = rig.add({ on: { align: 'keypoints', template: [[0.25, 0.5], null, [0.75, 0.5]] }, per: 'frame' });
    const seen = { ...car(1), keypoints: [100, 100, 0.9, 0, 0, 0.9, 100, 140, 0.5] };
    const hidden = { ...car(2), keypoints: [100, 100, 0.9, 0, 0, 0.9, 100, 140, 0.4] };
    const crops: unknown[] = [];
    rig.pass([seen, hidden, car(3), { ...car(4), keypoints: [1, 2, 0.9] }], ({ crop }) => {
      crops.push(crop);
      return RED;
    });
    // Points 40 pixels apart, one below the other, are half of the crop's width apart, side by side.
    const found = { x: 60, y: 80, width: 80, height: 80, pictureWidth: 640, angle: 90 };
    expect(crops).toEqual([
      Object.fromEntries(Object.entries(found).map(([key, value]) => [key, expect.closeTo(value, 6)])),
    ]);
    expect(stage.report(0)).toMatchObject({ wanted: 4, looked: 1, skipped: { 'no-points': 3 } });
    rig.stream.look({ frame: rig.frame(), picture: null, isLive: false }, [seen]);
    expect(stage.report(0).skipped).toEqual({ 'no-points': 3, 'no-picture': 1 });
    expect(rig.leaks.gap).toBe(0);
  });

  it('skips frames without a picture, and looks at no box that was predicted', () => {
    const rig = new StageRig();
    const stage = rig.add({});
    const frame = rig.frame();
    rig.stream.look({ frame: { ...frame, by: 'tracked' }, picture: null, isLive: false }, [car(1)]);
    expect(stage.report(0).wanted).toBe(0);
    rig.stream.look({ frame, picture: null, isLive: false }, [car(1)]);
    expect(stage.report(0)).toMatchObject({ wanted: 1, skipped: { 'no-picture': 1 } });
  });
});

it('crops of all objects of frames whose results come together are handed over together', async () => {
  const rig = new StageRig();
  const { model } = rig.add({ per: 'frame' });
  const run = vi.spyOn(model.scheduler, 'run');
  rig.look([car(1), car(2), car(3)]);
  rig.look([car(1), car(2)]);
  expect(run).not.toHaveBeenCalled();
  await Promise.resolve();
  expect(run).toHaveBeenCalledTimes(1);
  rig.look([car(1)]);
  await Promise.resolve();
  expect(run).toHaveBeenCalledTimes(2);
});

describe('when a look takes effect', () => {
  it('a frame of a file waits for its crops; what later frames lead to is not in its record', () => {
    const rig = new StageRig();
    rig.add({ per: 'frame' });
    const first = rig.look([car(1)]);
    const second = rig.look([car(1)]);
    expect([first.looks?.isOver, second.looks?.isOver]).toEqual([false, false]);
    let index = 0;
    rig.answer(() => says(index++));
    expect([first.looks?.isOver, second.looks?.isOver]).toEqual([true, true]);
    const labels = [first, second].map(
      ({ frame, looks }) => rig.stream.dress([car(1)], frame.meta.ptsUs, looks as never)[0]!.attributes!.a!.label,
    );
    expect(labels).toEqual(['red', 'green']);
  });

  it('says how long frames of a file waited: for each second stage behind another, and for all of them', () => {
    const rig = new StageRig();
    rig.add({ name: 'a' }, PLATES);
    rig.add({ name: 'b', on: { from: 'a', minPixels: 1 } }, TEXT);
    let asked = 0;
    rig.pass([car(1)], () => {
      rig.clock.advance(asked++ === 0 ? 30 : 70);
      return Float32Array.of(110, 110, 20, 10, 0.9, 0);
    });
    const { whole, byStage } = rig.stream.waits(rig.clock.now());
    expect([whole.count, whole.p99]).toEqual([1, 100]);
    expect([...byStage].map(([name, { p99 }]) => [name, p99])).toEqual([
      ['a', 30],
      ['b', 70],
    ]);
    rig.isLive = true;
    rig.pass([car(2)], () => RED);
    expect(rig.stream.waits(rig.clock.now()).whole.count).toBe(1);
  });

  it('a live frame waits for nothing, and has what is known by then', () => {
    const rig = new StageRig();
    rig.isLive = true;
    rig.add({});
    const { frame, looks } = rig.look([car(1)]);
    expect(looks).toBeNull();
    expect(rig.stream.dress([car(1)], frame.meta.ptsUs, null)).toEqual([car(1)]);
    rig.release(frame);
    rig.answer(() => RED);
    expect(rig.stream.dress([car(1)], 100_000, null)[0]!.attributes).toEqual({
      a: { label: 'red', score: 0.9, atUs: 0 },
    });
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('live frames hold at most four slots; what else is due is skipped, and due again', () => {
    const rig = new StageRig();
    rig.isLive = true;
    const stage = rig.add({ per: 'frame' });
    for (let i = 0; i < 6; i++) rig.release(rig.look([car(1)]).frame);
    expect(stage.report(0)).toMatchObject({ wanted: 6, inFlight: 4, skipped: { 'queue-full': 2 } });
    expect(rig.slots.heldCount).toBe(4);
    rig.answer(() => RED);
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('a crop of a live stream that waited for two seconds is stale, and its object is due again', () => {
    const rig = new StageRig();
    rig.isLive = true;
    const stage = rig.add({});
    rig.release(rig.look([car(1)]).frame);
    rig.clock.advance(2001);
    rig.answer(() => RED);
    expect(stage.report(rig.clock.now())).toMatchObject({ looked: 0, skipped: { stale: 1 } });
    rig.release(rig.look([car(1)]).frame);
    expect(stage.report(rig.clock.now()).wanted).toBe(2);
  });

  it('a track that ends while its crop is inferred leaves nothing behind', () => {
    const rig = new StageRig();
    rig.isLive = true;
    rig.add({});
    rig.release(rig.look([car(1)], rig.frame(0)).frame);
    rig.stream.dress([], 5_000_000, null);
    expect(rig.stream.trackCount).toBe(0);
    rig.answer(() => RED);
    expect(rig.stream.trackCount).toBe(0);
    expect(rig.stream.dress([car(1)], 5_100_000, null)[0]!.attributes).toBeUndefined();
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('a stream that is closed waits for nothing; crops on a thread are finished', () => {
    const rig = new StageRig();
    const stage = rig.add({ per: 'frame' });
    const first = rig.look([car(1)]);
    const onThread = stage.model.scheduler.model.batcher.next(rig.clock.now(), 1);
    const second = rig.look([car(1)]);
    rig.stream.withdraw('s');
    expect(stage.report(0)).toMatchObject({ inFlight: 1, skipped: { stopped: 1 } });
    for (const { frame } of [first, second]) rig.release(frame);
    if (onThread.kind === 'batch') stage.complete(onThread.items[0]!, RED, rig.clock.now());
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
    return Promise.all([first.looks!.settled, second.looks!.settled]);
  });
});

describe('a second stage that fails', () => {
  it('skips what waits and rests; its objects are due again afterwards', () => {
    const rig = new StageRig();
    const stage = rig.add({ per: 'frame' });
    for (let i = 0; i < 3; i++) rig.release(rig.look([car(1)]).frame);
    rig.answer(() => null);
    expect(stage.report(0)).toMatchObject({ wanted: 3, looked: 0, skipped: { 'engine-failed': 3 } });
    const { looks } = rig.look([car(1)]);
    expect(looks?.isOver ?? true).toBe(true);
    expect(stage.report(0)).toMatchObject({ inFlight: 0, skipped: { 'engine-failed': 4 } });
    rig.clock.advance(1001);
    rig.look([car(1)]);
    expect(rig.answer(() => RED)).toBe(1);
  });

  it('leaves nothing of earlier frames in a frame of a file that it is to look at', () => {
    const rig = new StageRig();
    rig.add({ per: 'frame' });
    expect(rig.pass([car(1)], () => RED)[0]!.attributes?.a?.label).toBe('red');
    expect(rig.pass([car(1)], () => null)[0]!.attributes?.a).toBeUndefined();
  });

  it('that is replaced gives nothing more, and the new one looks at every track', () => {
    const rig = new StageRig();
    rig.isLive = true;
    const old = rig.add({});
    rig.release(rig.look([car(1)]).frame);
    const onThread = old.model.scheduler.model.batcher.next(rig.clock.now(), 1);
    const next = rig.add({}, COLOURS);
    rig.list = [next];
    old.retire();
    rig.release(rig.look([car(1)]).frame);
    if (onThread.kind === 'batch') old.complete(onThread.items[0]!, says(2), rig.clock.now());
    rig.answer(() => RED);
    expect(rig.stream.dress([car(1)], 200_000, null)[0]!.attributes?.a?.label).toBe('red');
  });
});

describe('a chain of second stages', () => {
  const chain = (): StageRig => {
    const rig = new StageRig();
    rig.add({ name: 'a', per: 'frame' }, PLATES);
    rig.add({ name: 'b', on: { from: 'a', minPixels: 1 }, per: 'frame' }, TEXT);
    return rig;
  };
  const answers = (crop: { crop?: { width: number } }): Float32Array =>
    // Of the car: a plate. Of the plate: A, 1 in slots 0 and 1.
    crop.crop!.width > 40
      ? Float32Array.of(130, 140, 20, 10, 0.8, 0)
      : Float32Array.of(0, 0, 0, 0, 0.9, 0, 1, 0, 0, 0, 0.7, 2);

  it('finds objects in crops, with the track of the outer one, and reads them', () => {
    const rig = chain();
    const said = { b: { label: 'A1', score: 0.8, atUs: 0 } };
    expect(rig.pass([car(7)], answers)).toEqual([
      { ...car(7), attributes: said },
      {
        classId: 80,
        label: 'plate',
        score: expect.closeTo(0.8),
        parent: 7,
        attributes: said,
        box: [130, 140, 20, 10].map((px) => expect.closeTo(px)),
      },
    ]);
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('finds key points in crops, which move with the track, and cuts along them', () => {
    const rig = new StageRig();
    const faces = { ...PLATES, family: 'yunet', task: 'keypoints', keypoints: 2, classes: ['face'] } as const;
    rig.add({ name: 'a' }, faces);
    const template = [
      [0.25, 0.5],
      [0.75, 0.5],
    ];
    rig.add({ name: 'b', on: { from: 'a', minPixels: 1, align: 'keypoints', template } });
    rig.isLive = true;
    const { frame } = rig.look([car(7, [100, 100, 80, 60])]);
    rig.release(frame);
    const crops: unknown[] = [];
    rig.answer(({ crop }, stage) => {
      if (stage.name === 'a') return Float32Array.of(110, 110, 40, 40, 0.9, 0, 120, 120, 0.9, 120, 140, 0.8);
      crops.push(crop);
      return RED;
    });
    // The points are 20 pixels apart, one below the other: half of the crop's width.
    const found = { x: 100, y: 110, width: 40, height: 40, pictureWidth: 640, angle: 90 };
    const near = Object.fromEntries(Object.entries(found).map(([key, value]) => [key, expect.closeTo(value, 4)]));
    expect(crops).toEqual([near]);
    // By the next frame it is elsewhere, and twice as large.
    const [, face] = rig.stream.dress([car(7, [200, 200, 160, 120])], 100_000, null);
    expect(face).toMatchObject({ label: 'face', parent: 7, attributes: { b: { label: 'red' } } });
    const numbers = [...face!.box, ...face!.keypoints!];
    const wanted = [220, 220, 80, 80, 240, 240, 0.9, 240, 280, 0.8];
    expect(numbers).toEqual(wanted.map((value) => expect.closeTo(value, 4)));
    expect(rig.leaks).toEqual({ gap: 0, held: 0 });
  });

  it('is over once the innermost look is', () => {
    const rig = chain();
    const { looks } = rig.look([car(7)]);
    const [plates, text] = rig.all as [(typeof rig.all)[0], (typeof rig.all)[0]];
    const outer = plates!.model.scheduler.model.batcher.next(0, 1);
    if (outer.kind === 'batch') plates!.complete(outer.items[0]!, answers({ crop: { width: 80 } }), rig.clock.now());
    expect(looks!.isOver).toBe(false);
    expect(text!.report(0).inFlight).toBe(1);
    rig.answer(answers);
    expect(looks!.isOver).toBe(true);
  });
});

it('wanted = looked + skipped + in flight at every moment, and no slot is lost, whatever happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('look' as const), tracks: fc.uniqueArray(fc.nat(5), { maxLength: 5 }) }),
    fc.record({ kind: fc.constantFrom('answer' as const, 'fail' as const, 'wait' as const, 'withdraw' as const) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.boolean(),
      fc.constantFrom('frame', 'track', 'bestOfTrack'),
      (steps, isLive, per) => {
        const rig = new StageRig();
        rig.isLive = isLive;
        rig.add({ name: 'a', per, max: 3 }, PLATES);
        rig.add({ name: 'b', on: { from: 'a', minPixels: 1 }, per }, TEXT);
        rig.add({ name: 'c', per });
        for (const each of steps) {
          if (each.kind === 'look') {
            if (rig.slots.heldCount < 60)
              rig.release(rig.look(each.tracks.map((id) => car(id, [0, 0, 50 + id, 60]))).frame);
          } else if (each.kind === 'answer') rig.answer(() => Float32Array.of(10, 10, 20, 20, 0.9, 0));
          else if (each.kind === 'fail') rig.answer(() => null);
          else if (each.kind === 'wait') rig.clock.advance(1500);
          else rig.stream.withdraw('s');
          expect(rig.leaks.gap).toBe(0);
        }
        rig.answer(() => Float32Array.of(10, 10, 20, 20, 0.9, 0));
        rig.stream.withdraw('s');
        expect(rig.leaks).toEqual({ gap: 0, held: 0 });
      },
    ),
    { numRuns: Number(process.env.STAGES_RUNS ?? 100) },
  );
});
