import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { cloudEvent, type RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { type Actor, brief, frameOf, play, rulesOn, settingsOf } from './scenes.ts';

const standing = (): Actor[] => [{ id: 1, x: 200 }];

/** Fails unless each event has one `new` first, one `end` last, and numbers without a gap. */
function expectWholeLives(records: readonly RuleEvent[]): void {
  const lives = new Map<string, RuleEvent[]>();
  for (const record of records) lives.set(record.id, [...(lives.get(record.id) ?? []), record]);
  for (const life of lives.values()) {
    expect(life.map(({ seq }) => seq)).toEqual(life.map((_, i) => i));
    expect(life[0]!.phase).toBe('new');
    expect(life.at(-1)!.phase).toBe('end');
    expect(life.slice(1, -1).every(({ phase }) => phase === 'update')).toBe(true);
    expect(new Set(life.map(({ reason }) => reason)).size).toBe(1);
  }
}

describe('the life of an event', () => {
  it('has one new and one end, whatever objects, frames, rules and time do', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed);
      const pick = (most: number): number => Math.floor(random() * most);
      const all = [
        { id: 'a', kind: 'appears', for: `${pick(20) * 100}ms`, cooldown: `${pick(3)}s` },
        { id: 'b', kind: 'dwells', zone: 'left', for: '1s' },
        { id: 'c', kind: 'count', above: pick(3) },
        { id: 'd', kind: 'leaves' },
        { id: 'e', kind: 'stationary', for: '1s' },
        { id: 'f', kind: 'picture' },
        { id: 'g', kind: 'stream', for: '1s' },
        { id: 'h', kind: 'exits', zone: 'left' },
        { id: 'i', kind: 'enters', zone: 'left' },
        { id: 'j', kind: 'speed', above: 0.05 },
      ];
      const scene = rulesOn(all.filter(() => random() < 0.7));
      let ptsUs = 0;
      for (let frame = 0; frame < 300; frame++) {
        const chance = random();
        if (chance < 0.01) scene.events.change(settingsOf(all.filter(() => random() < 0.7)), frame * 100);
        else if (chance < 0.02) ptsUs = pick(5_000_000);
        else if (chance < 0.03) ptsUs += pick(60_000_000);
        else if (chance < 0.05) scene.events.onPicture(random() < 0.5 ? [] : ['black', 'moved']);
        else if (chance < 0.1)
          scene.events.onTick(
            random() < 0.5 ? [] : [{ sign: 'down', sinceMs: frame * 100 }],
            frame * 100 + 1,
            frame * 100 + 1,
          );
        ptsUs += 100_000;
        const actors = Array.from({ length: pick(4) }, () => ({
          id: 1 + pick(5),
          x: pick(1000),
          y: 100 + pick(400),
          score: random(),
          label: random() < 0.5 ? 'person' : 'dog',
        })).filter(({ id }, i, list) => list.findIndex((other) => other.id === id) === i);
        scene.events.onFrame({ ...frameOf(frame, actors), ptsUs });
      }
      scene.events.end('stopped', 30_000);
      expectWholeLives(scene.records);
      const { raised, ended } = scene.events.figures;
      expect(raised).toBe(ended);
      expect(raised).toBe(scene.records.filter(({ phase }) => phase === 'new').length);
    }
  });

  it('ends with its rule, and goes on if other rules change', () => {
    const [one, other] = [
      { id: 'in', kind: 'enters', zone: 'left' },
      { id: 'seen', kind: 'appears' },
    ];
    const scene = rulesOn([one, other]);
    play(scene, 0, 20, standing);
    scene.events.change(settingsOf([one]), 0);
    play(scene, 21, 40, standing);
    expect(brief(scene.records)).toEqual(['seen new 0', 'in new 0.2', 'seen end 2']);
    expect(scene.records.at(-1)!.endReason).toBe('changed');
  });

  it('ends when the zone of its rule moves', () => {
    const rule = { id: 'in', kind: 'enters', zone: 'left' };
    const scene = rulesOn([rule]);
    play(scene, 0, 20, standing);
    const zones = [
      {
        id: 'left',
        polygon: [
          [0.6, 0],
          [1, 0],
          [1, 1],
        ],
      },
    ];
    scene.events.change(settingsOf([rule], { zones }), 0);
    expect(scene.records.at(-1)).toMatchObject({ phase: 'end', endReason: 'changed' });
    play(scene, 21, 60, standing);
    expect(scene.records).toHaveLength(2);
  });

  it('of a zone that moves over somebody begins when it did', () => {
    const rules = [
      { id: 'in', kind: 'enters', zone: 'left' },
      { id: 'stays', kind: 'dwells', zone: 'left', for: '2s' },
    ];
    const right = [
      {
        id: 'left',
        polygon: [
          [0.6, 0],
          [1, 0],
          [1, 1],
          [0.6, 1],
        ],
      },
    ];
    const scene = rulesOn(rules, { zones: right });
    play(scene, 0, 100, standing);
    scene.events.change(settingsOf(rules), 0);
    play(scene, 101, 130, standing);
    expect(brief(scene.records)).toEqual(['in new 10.3', 'stays new 12.1']);
    expect(scene.records[1]!.began.ptsUs).toBe(10_100_000);
  });

  it('ends when media time jumps back, and what comes next is another event', () => {
    const scene = rulesOn([{ id: 'in', kind: 'enters', zone: 'left' }]);
    play(scene, 0, 20, standing);
    for (let frame = 21; frame < 30; frame++)
      scene.events.onFrame({ ...frameOf(frame, standing()), ptsUs: (frame - 21) * 100_000 });
    expect(scene.records.map(({ phase, endReason }) => endReason ?? phase)).toEqual(['new', 'discontinuity', 'new']);
    expect(new Set(scene.records.map(({ id }) => id)).size).toBe(2);
  });

  it('ends when a live stream gives no result for ten seconds', () => {
    const scene = rulesOn([{ id: 'in', kind: 'enters', zone: 'left' }]);
    const startMs = Date.parse('2026-05-04T10:00:00Z');
    for (let frame = 0; frame <= 20; frame++)
      scene.events.onFrame(frameOf(frame, standing(), { capturedAtMs: 0 }), frame * 100);
    scene.events.onTick([], 11_900, startMs);
    expect(scene.records).toHaveLength(1);
    scene.events.onTick([], 12_100, startMs);
    expect(scene.records.at(-1)).toMatchObject({ phase: 'end', endReason: 'blind' });
  });

  it('about the picture goes on while the detector gives no result: pictures are looked at all the same', () => {
    const scene = rulesOn([
      { id: 'in', kind: 'enters', zone: 'left' },
      { id: 'night', kind: 'picture', signs: ['dark'] },
    ]);
    const startMs = Date.parse('2026-05-04T10:00:00Z');
    const see = (from: number, to: number): void => {
      for (let frame = from; frame <= to; frame++)
        scene.events.onFrame(frameOf(frame, standing(), { capturedAtMs: 0 }), frame * 100);
    };
    scene.events.onPicture(['dark']);
    see(0, 20);
    scene.events.onTick([], 30_000, startMs);
    see(300, 310);
    const ofNight = (): string[] =>
      scene.records.filter(({ rule }) => rule === 'night').map(({ phase, endReason }) => endReason ?? phase);
    expect(scene.records.map(({ rule, endReason }) => `${rule} ${endReason}`)).toContain('in blind');
    expect(ofNight()).toEqual(['new']);
    scene.events.onPicture([]);
    see(311, 330);
    expect(ofNight()).toEqual(['new', 'over']);
  });

  it('ends when a recording has no frame for more than ten seconds, and when its time jumps ahead', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
    play(scene, 0, 50, standing);
    play(scene, 162, 200, standing);
    expect(scene.records.map(({ phase, ended, endReason }) => [endReason ?? phase, ended?.ptsUs])).toEqual([
      ['new', undefined],
      ['blind', 5_000_000],
      ['new', undefined],
    ]);
  });

  it('reports a better picture, at most once a second', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
    play(scene, 0, 30, (frame) => [{ id: 1, x: 200, score: 0.3 + frame / 60 }]);
    const updates = scene.records.filter(({ phase }) => phase === 'update');
    expect(updates.map(({ ptsUs }) => ptsUs)).toEqual([1_000_000, 2_000_000, 3_000_000]);
    expect(updates.at(-1)!.best).toMatchObject({ frame: 30, score: 0.8, box: [180, 300, 40, 100] });
  });

  it('keeps a path of few points, spread over its whole life', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
    play(scene, 0, 900, (frame) => [{ id: 1, x: 50 + frame }]);
    scene.events.end('stopped', 0);
    const path = scene.records.at(-1)!.path!;
    expect(path.length).toBeGreaterThan(30);
    expect(path.length).toBeLessThanOrEqual(64);
    expect(path[0]).toEqual([0.05, 0.8]);
    expect(path.at(-1)).toEqual([0.95, 0.8]);
    const steps = path.slice(1, -1).map(([x], i) => x - path[i]![0]);
    expect(Math.max(...steps) - Math.min(...steps)).toBeLessThan(1e-3);
  });

  it('has the same id for the same recording and rule, and another in another run', () => {
    const ids = ['first', 'first', 'second'].map((run) => {
      const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
      for (let frame = 0; frame < 5; frame++) scene.events.onFrame(frameOf(frame, standing(), { run }));
      return scene.records[0]!.id;
    });
    expect(ids[0]).toBe(ids[1]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it('has another id in a recording of the same name in which something else is seen', () => {
    const ids = ['person', 'car'].map((label) => {
      const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
      play(scene, 0, 3, () => [{ id: 1, x: 200, label }]);
      return scene.records[0]!.id;
    });
    expect(new Set(ids).size).toBe(2);
  });

  it('is a CloudEvent whose id no other record has', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears' }], {}, Date.parse('2026-05-04T10:00:00Z'));
    play(scene, 0, 5, standing);
    scene.events.end('stopped', 0);
    const [first, last] = scene.records.map(cloudEvent);
    expect(first).toMatchObject({
      specversion: '1.0',
      source: '/streams/yard',
      type: 'io.sightline.event.new',
      subject: 'seen',
      time: '2026-05-04T10:00:00.000Z',
      datacontenttype: 'application/json',
    });
    expect(first!.data).toEqual(scene.records[0]);
    expect(last!.id).not.toBe(first!.id);
  });

  it('of a recording has an id without the run, the number of the frame and the host; each loop has its own', () => {
    const rules = [{ id: 'seen', kind: 'appears' }];
    const idsOf = (recording: string | undefined, run: string, firstFrame: number): string[] => {
      const scene = rulesOn(rules, {}, undefined, recording);
      for (const loop of [0, 1])
        for (let i = 0; i < 30; i++) {
          const frame = frameOf(firstFrame + loop * 30 + i, standing(), { run });
          scene.events.onFrame({ ...frame, ptsUs: i * 100_000 });
        }
      return scene.records.filter(({ phase }) => phase === 'new').map(({ id }) => id);
    };
    const ids = idsOf('a1', 'Monday', 0);
    expect(new Set(ids).size).toBe(2);
    expect(idsOf('a1', 'Tuesday', 7)).toEqual(ids);
    expect(idsOf('b2', 'Monday', 0)).not.toEqual(ids);
    // A camera has none: its runs differ.
    expect(idsOf(undefined, 'Tuesday', 0)).not.toEqual(idsOf(undefined, 'Monday', 0));
  });

  it('is raised for a thousand objects in a minute, each once', () => {
    const rules = [{ id: 'over', kind: 'crosses', line: 'middle' }];
    const scene = rulesOn(rules, { lines: [{ id: 'middle', from: [0.5, 0], to: [0.5, 1] }] });
    for (let frame = 0; frame < 600; frame++) {
      const ids = frame < 100 ? [] : [2 * frame, 2 * frame + 1];
      const crossings = ids.map((trackId) => ({
        lineId: 'middle',
        trackId,
        label: 'person',
        ptsUs: 0,
        direction: 'left-to-right' as const,
      }));
      scene.events.onFrame(
        frameOf(
          frame,
          ids.map((id) => ({ id, x: 510 })),
          { crossings },
        ),
      );
    }
    expect(scene.events.figures).toMatchObject({ raised: 1000, ended: 1000 });
    expectWholeLives(scene.records);
  });
});
