import { describe, expect, it } from 'vitest';
import { type Actor, brief, frameOf, play, rulesOn, settingsOf } from './scenes.ts';

/** Walks from x = 900 to x = 100, 10 pixels a frame: the border of the zone, at 500, is reached in frame 40. */
const walker = (frame: number): Actor[] => [{ id: 1, x: 900 - 10 * frame }];

describe('rules', () => {
  it('appears: raised when an object has been seen for long enough, over when it is gone', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears', for: '500ms' }]);
    play(scene, 0, 20, (frame) => (frame < 10 ? [{ id: 1, x: 500 }] : []));
    play(scene, 21, 70, () => []);
    expect(brief(scene.records)).toEqual(['seen new 0.5', 'seen end 6']);
    const [, end] = scene.records;
    expect(end).toMatchObject({ began: { ptsUs: 0 }, ended: { ptsUs: 900_000 }, endReason: 'over', label: 'person' });
  });

  it('appears: an object that is missed for some seconds is the same event', () => {
    const scene = rulesOn([{ id: 'seen', kind: 'appears' }]);
    play(scene, 0, 200, (frame) => (frame % 50 < 4 ? [{ id: 1, x: 500 }] : []));
    expect(brief(scene.records)).toEqual(['seen new 0']);
  });

  it('leaves: only objects that had been seen for long enough', () => {
    const scene = rulesOn([{ id: 'gone', kind: 'leaves', for: '1s' }]);
    play(scene, 0, 80, (frame) => [
      ...(frame < 5 ? [{ id: 1, x: 300 }] : []),
      ...(frame < 15 ? [{ id: 2, x: 600, label: 'dog' }] : []),
    ]);
    expect(brief(scene.records)).toEqual(['gone new 6.5', 'gone end 6.5']);
    expect(scene.records[0]).toMatchObject({ label: 'dog', trackId: 2 });
    expect(scene.records[1]!.ended).toEqual({ ptsUs: 1_400_000 });
    expect(scene.records[0]!.reason).toBe('dog 2 was seen for 1.4 s and is gone');
  });

  it('enters: when an object is inside for sure, since the moment it came; over when it is out', () => {
    const scene = rulesOn([{ id: 'in', kind: 'enters', zone: 'left' }]);
    play(scene, 0, 80, walker);
    expect(brief(scene.records)).toEqual(['in new 4.2']);
    expect(scene.records[0]).toMatchObject({ began: { ptsUs: 4_000_000 }, zone: 'left', trackId: 1 });
    play(scene, 81, 120, (frame) => [{ id: 1, x: 100 + 20 * (frame - 80) }]);
    expect(brief(scene.records).at(-1)).toMatch(/^in end/);
  });

  it('enters: an object that flickers at the border enters once', () => {
    const scene = rulesOn([{ id: 'in', kind: 'enters', zone: 'left' }]);
    play(scene, 0, 100, (frame) => [{ id: 1, x: frame < 20 ? 700 : frame % 2 === 0 ? 495 : 505 }]);
    expect(scene.records).toEqual([]);
    play(scene, 101, 160, (frame) => [{ id: 1, x: frame % 7 === 0 ? 505 : 480 }]);
    expect(brief(scene.records)).toEqual(['in new 10.2']);
  });

  it('exits: only what is seen outside afterwards, not what vanishes inside', () => {
    const scene = rulesOn([{ id: 'out', kind: 'exits', zone: 'left' }]);
    play(scene, 0, 60, (frame) => [{ id: 1, x: 300 + 10 * frame }, ...(frame < 20 ? [{ id: 2, x: 200 }] : [])]);
    expect(brief(scene.records)).toEqual(['out new 2.3', 'out end 2.3']);
    expect(scene.records[0]!.trackId).toBe(1);
  });

  it('dwells: longer than a time inside a zone, measured from the first moment inside', () => {
    const scene = rulesOn([{ id: 'stays', kind: 'dwells', zone: 'left', for: '5s' }]);
    play(scene, 0, 100, (frame) => [
      { id: 1, x: 700 - Math.min(frame, 30) * 10 },
      { id: 2, x: frame < 45 ? 100 : 700 },
    ]);
    // Object 1 is at 500, on the border, in frame 20, and stays at 400; object 2 leaves after 4.5 s.
    expect(brief(scene.records)).toEqual(['stays new 7']);
    expect(scene.records[0]).toMatchObject({ trackId: 1, reason: 'person 1 has stayed in zone left for 5 s' });
  });

  it('crosses: each crossing of its line in its direction', () => {
    const rules = [{ id: 'over', kind: 'crosses', line: 'middle', direction: 'left-to-right' }];
    const scene = rulesOn(rules, { lines: [{ id: 'middle', from: [0.5, 0], to: [0.5, 1] }] });
    const crossing = (direction: 'left-to-right' | 'right-to-left', frame: number) =>
      frameOf(frame, walker(frame), {
        crossings: [{ lineId: 'middle', trackId: 1, label: 'person', direction, ptsUs: 0 }],
      });
    scene.events.onFrame(crossing('left-to-right', 1));
    scene.events.onFrame(crossing('right-to-left', 2));
    expect(brief(scene.records)).toEqual(['over new 0.1', 'over end 0.1']);
    expect(scene.records[0]!.direction).toBe('left-to-right');
  });

  it('count: above a number for a time, also of objects without a track, and over when fewer remain', () => {
    const scene = rulesOn([{ id: 'crowd', kind: 'count', zone: 'left', labels: ['person'], above: 1, for: '1s' }]);
    const people = (count: number): Actor[] =>
      Array.from({ length: count }, (_, i) => ({ id: i + 1, x: 100 + 50 * i }));
    play(scene, 0, 50, (frame) => [{ id: 9, x: 200, label: 'dog' }, ...people(frame < 10 ? 1 : frame < 30 ? 3 : 1)]);
    expect(brief(scene.records)).toEqual(['crowd new 2', 'crowd end 4']);
    expect(scene.records[0]).toMatchObject({ count: 3, began: { ptsUs: 1_000_000 } });
    expect(scene.records[0]!.reason).toBe('3 of person in zone left, more than 1');
  });

  it('count: below a number, when nobody is there', () => {
    const scene = rulesOn([{ id: 'empty', kind: 'count', below: 1, for: '2s' }]);
    play(scene, 0, 60, (frame) => (frame < 10 || frame > 50 ? [{ id: 1, x: 400 }] : []));
    expect(brief(scene.records)).toEqual(['empty new 3']);
  });

  it('count: another box in one frame of 14 neither begins nor holds it, at any rate and with frames that never come', () => {
    const people = (count: number): Actor[] =>
      Array.from({ length: count }, (_, i) => ({ id: i + 1, x: 100 + 50 * i }));
    for (const fps of [30, 15, 5, 1]) {
      const scene = rulesOn([{ id: 'crowd', kind: 'count', above: 1, for: '5s' }]);
      const phases = (): string[] => scene.records.map(({ phase }) => phase);
      const show = (fromS: number, toS: number, count: (index: number) => number) => {
        // Every third frame never comes.
        for (let frame = fromS * fps, index = 0; frame < toS * fps; frame++)
          if (frame % 3 !== 0)
            scene.events.onFrame(frameOf(frame, people(count(index++)), { ptsUs: (frame / fps) * 1e6 }));
      };
      show(0, 60, (index) => (index % 14 === 7 ? 2 : 1));
      expect(phases(), `${fps} frames/s`).toEqual([]);
      show(60, 90, (index) => (index % 6 === 3 ? 1 : 2));
      expect(phases(), 'one of two is missed in a frame of six').toEqual(['new']);
      const { began, ptsUs } = scene.records[0]!;
      expect(ptsUs! - began!.ptsUs!).toBeGreaterThanOrEqual(5e6);
      show(90, 120, (index) => (index % 14 === 7 ? 2 : 1));
      expect(phases()).toEqual(['new', 'end']);
      const lastS = scene.records[1]!.ended!.ptsUs! / 1e6;
      expect(lastS).toBeGreaterThanOrEqual(88);
      expect(lastS).toBeLessThanOrEqual(90);
    }
  });

  it('count: holds by the share of frames: half of them are too few to begin it and too many to end it', () => {
    const scene = rulesOn([{ id: 'crowd', kind: 'count', above: 0, for: '2s' }]);
    const half = (frame: number): Actor[] => (frame % 2 === 0 ? [{ id: 1, x: 100 }] : []);
    play(scene, 0, 100, half);
    expect(scene.records).toEqual([]);
    play(scene, 101, 130, () => [{ id: 1, x: 100 }]);
    play(scene, 131, 230, half);
    expect(brief(scene.records)).toEqual(['crowd new 12']);
  });

  it('a zone with a least score and size is entered by nobody, and counts nobody, who does not reach both', () => {
    const [zone] = settingsOf([]).zones;
    const rules = [
      { id: 'in', kind: 'enters', zone: 'left' },
      { id: 'crowd', kind: 'count', zone: 'left', above: 0 },
    ];
    const walks = (score: number) => (): Actor[] => [{ id: 1, x: 200, score }];
    const raised = (minima: object, score: number): string[] => {
      const scene = rulesOn(rules, { zones: [{ ...zone, ...minima }] });
      play(scene, 0, 20, walks(score));
      return scene.records.map(({ rule }) => rule).sort();
    };
    // People of this scene are a fifth of the picture tall.
    expect(raised({ minScore: 0.7, minSize: 0.2 }, 0.8)).toEqual(['crowd', 'in']);
    expect(raised({ minScore: 0.7 }, 0.6)).toEqual([]);
    expect(raised({ minSize: 0.21 }, 0.8)).toEqual([]);
  });

  it('speed: in picture heights, and in metres per second on a zone with a scale', () => {
    const ground = {
      corners: [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ],
      metres: [20, 10],
    };
    const whole = { id: 'yard', polygon: ground.corners, scale: ground };
    const rules = [
      { id: 'fast', kind: 'speed', above: 0.19, for: '1s' },
      { id: 'slow-limit', kind: 'speed', above: 0.21, for: '1s' },
      { id: 'metres', kind: 'speed', zone: 'yard', above: 1.9, for: '1s' },
      { id: 'too-high', kind: 'speed', zone: 'yard', above: 2.1, for: '1s' },
    ];
    const scene = rulesOn(rules, { zones: [whole] });
    // 10 pixels in 0.1 s: 100 a second, a fifth of the height, 2 of the 20 metres.
    play(scene, 0, 40, walker);
    expect(scene.records.map(({ rule }) => rule).toSorted()).toEqual(['fast', 'metres']);
    expect(scene.records.find(({ rule }) => rule === 'metres')!.speed).toBeCloseTo(2, 5);
    expect(scene.records.find(({ rule }) => rule === 'fast')!.speed).toBeCloseTo(0.2, 5);
  });

  it('stationary: an object that sways stands still, and one that walks does not', () => {
    const scene = rulesOn([{ id: 'parked', kind: 'stationary', for: '4s' }]);
    play(scene, 0, 80, (frame) => [
      { id: 1, x: 200 + (frame % 3) * 2, label: 'car' },
      { id: 2, x: 300 + 5 * frame },
    ]);
    expect(brief(scene.records)).toEqual(['parked new 4']);
    play(scene, 81, 120, (frame) => [{ id: 1, x: 200 + 10 * (frame - 80), label: 'car' }]);
    expect(brief(scene.records).at(-1)).toMatch(/^parked end/);
  });

  it('picture: from the frame on in which a sign is known, until it is gone', () => {
    const scene = rulesOn([{ id: 'covered', kind: 'picture', signs: ['black'], for: '2s' }]);
    play(scene, 0, 9, () => []);
    scene.events.onPicture(['black', 'frozen']);
    play(scene, 10, 40, () => []);
    scene.events.onPicture([]);
    play(scene, 41, 60, () => []);
    expect(brief(scene.records)).toEqual(['covered new 2.9', 'covered end 5.1']);
    expect(scene.records[0]).toMatchObject({ sign: 'black', reason: 'the picture is black' });
  });

  it('picture: a sign that was there before the first frame', () => {
    const scene = rulesOn([{ id: 'covered', kind: 'picture' }]);
    scene.events.onPicture(['black']);
    play(scene, 10, 12, () => []);
    expect(brief(scene.records)).toEqual(['covered new 1']);
    expect(scene.records[0]!.began).toEqual({ ptsUs: 1_000_000 });
  });

  it('picture: dark only for rules that name it, since nothing is wrong then', () => {
    const scene = rulesOn([
      { id: 'covered', kind: 'picture' },
      { id: 'night', kind: 'picture', signs: ['dark'] },
    ]);
    scene.events.onPicture(['black', 'dark']);
    play(scene, 10, 12, () => []);
    expect(brief(scene.records)).toEqual(['covered new 1', 'night new 1']);
    expect(scene.records.map(({ reason }) => reason)).toEqual(['the picture is black', 'the picture is dark']);
  });

  it('stream: down for long enough, on the clock of the wall, although no frame comes', () => {
    const scene = rulesOn([{ id: 'lost', kind: 'stream', for: '10s' }]);
    const start = Date.parse('2026-05-04T10:00:00Z');
    for (let second = 0; second <= 30; second++) {
      const isDown = second >= 5 && second < 25;
      // The clock of the wall is set an hour ahead meanwhile.
      const wallMs = start + second * 1000 + (second < 20 ? 0 : 3_600_000);
      scene.events.onTick(isDown ? [{ sign: 'down', sinceMs: 5000 }] : [], second * 1000, wallMs);
    }
    expect(scene.records.map(({ phase, at }) => `${phase} ${at}`)).toEqual([
      'new 2026-05-04T10:00:15.000Z',
      'end 2026-05-04T11:00:25.000Z',
    ]);
  });
});

describe('what holds a rule back', () => {
  it('raises for objects of its labels, score and size only', () => {
    const rule = { id: 'seen', kind: 'appears', labels: ['person'], minScore: 0.6, minSize: 0.15 };
    const scene = rulesOn([rule]);
    play(scene, 0, 20, (frame) => [
      { id: 1, x: 100, label: 'dog' },
      { id: 2, x: 200, score: 0.5 },
      { id: 3, x: 300, score: frame < 10 ? 0.4 : 0.7 },
    ]);
    expect(brief(scene.records)).toEqual(['seen new 1']);
    expect(scene.records[0]!.trackId).toBe(3);
  });

  it.each(['appears', 'leaves', 'enters', 'exits', 'dwells', 'crosses', 'speed', 'stationary'])(
    '%s heeds score and size without labels',
    (kind) => {
      const more = {
        ...(kind === 'crosses'
          ? { line: 'middle' }
          : ['enters', 'exits', 'dwells'].includes(kind)
            ? { zone: 'left' }
            : {}),
        ...(kind === 'dwells' || kind === 'stationary' ? { for: '1s' } : kind === 'speed' ? { above: 0.05 } : {}),
      };
      const rules = [
        { id: 'any', kind, ...more },
        { id: 'sure', kind, ...more, minScore: 0.9 },
        { id: 'tall', kind, ...more, minSize: 0.3 },
      ];
      const scene = rulesOn(rules, { lines: [{ id: 'middle', from: [0.5, 0], to: [0.5, 1] }] });
      for (let frame = 0; frame < 140; frame++) {
        const x = frame < 60 ? 900 - 10 * frame : frame < 90 ? 300 : 300 + 10 * (frame - 90);
        const crossings =
          frame === 45
            ? [{ lineId: 'middle', trackId: 1, label: 'person', direction: 'left-to-right' as const, ptsUs: 0 }]
            : [];
        scene.events.onFrame(frameOf(frame, frame < 80 || frame > 85 ? [{ id: 1, x }] : [], { crossings }));
      }
      for (let frame = 140; frame < 200; frame++) scene.events.onFrame(frameOf(frame, []));
      expect([...new Set(scene.records.map(({ rule }) => rule))]).toEqual(['any']);
    },
  );

  it('goes by the label that an object has most of the time', () => {
    const scene = rulesOn([{ id: 'dogs', kind: 'appears', labels: ['dog'], for: '1s' }]);
    play(scene, 0, 30, (frame) => [{ id: 1, x: 100, label: frame % 4 === 0 ? 'dog' : 'person' }]);
    expect(scene.records).toEqual([]);
  });

  it('waits for its cooldown, and then raises for what still holds', () => {
    const scene = rulesOn([{ id: 'in', kind: 'enters', zone: 'left', cooldown: '3s' }]);
    play(scene, 0, 60, (frame) => [
      { id: 1, x: 100 },
      ...(frame >= 10 && frame < 20 ? [{ id: 2, x: 200 }] : []),
      ...(frame >= 20 ? [{ id: 3, x: 300 }] : []),
    ]);
    expect(brief(scene.records)).toEqual(['in new 0.2', 'in new 3.2']);
    expect(scene.records[1]!.trackId).toBe(3);
    expect(scene.events.figures).toEqual({ raised: 2, ended: 0, suppressed: { times: 0, cooldown: 2, when: 0 } });
  });

  it('raises at its times of the week only, on the clock of its time zone', () => {
    const times = { timeZone: 'Europe/Berlin', on: ['mon-fri 22:00-06:00'] };
    const rules = [{ id: 'night', kind: 'appears', times }];
    // Monday, 2026-05-04, 21:59:58 in Berlin.
    const scene = rulesOn(rules, {}, Date.parse('2026-05-04T19:59:58Z'));
    play(scene, 0, 40, () => [{ id: 1, x: 500 }]);
    expect(brief(scene.records)).toEqual(['night new 2']);
    expect(scene.events.figures.suppressed.times).toBe(1);
  });

  it('an expression that fails is not true, is told once, and holds no other rule up', () => {
    const rules = [
      { id: 'broken', kind: 'count', above: 0, when: '1 / 0 > 1' },
      { id: 'well', kind: 'count', above: 0 },
    ];
    const scene = rulesOn(rules);
    play(scene, 0, 20, () => [{ id: 1, x: 100 }]);
    expect(brief(scene.records)).toEqual(['well new 0']);
    expect(scene.problems).toEqual(['rule broken: its expression fails, and counts as false: division by zero']);
    expect(scene.events.figures.suppressed.when).toBe(1);
  });

  it('knows what second stages have said of an object, from then on; before it is neither met nor broken', () => {
    const scene = rulesOn([
      { id: 'red', kind: 'appears', when: 'attributes.colour == "red" && attributes.plate.startsWith("A")' },
      { id: 'none', kind: 'appears', when: 'attributes.shape == "round"' },
      { id: 'any', kind: 'appears', when: '!("plate" in attributes)' },
    ]);
    const said = {
      colour: { label: 'red', score: 0.9, atUs: 0 },
      plate: { label: 'A1', score: 0.8, atUs: 0 },
      like: { vector: [1], atUs: 0 },
    };
    for (let frame = 0; frame < 30; frame++) {
      const { detections, ...rest } = frameOf(frame, [{ id: 1, x: 100 }]);
      const dressed = detections.map((each) => (frame < 12 ? each : { ...each, attributes: said }));
      scene.events.onFrame({ ...rest, detections: dressed });
    }
    expect(brief(scene.records)).toEqual(['any new 0', 'red new 1.2']);
    expect(scene.problems).toEqual([]);
  });

  it('raises if its expression is true', () => {
    const when = 'label == "person" && score > 0.7 && held > 1.5';
    const scene = rulesOn([{ id: 'seen', kind: 'appears', when }]);
    play(scene, 0, 30, () => [
      { id: 1, x: 100, score: 0.75 },
      { id: 2, x: 200, score: 0.65 },
    ]);
    expect(brief(scene.records)).toEqual(['seen new 1.6']);
  });
});

describe('a slow stream', () => {
  it('one frame in ten seconds gives the same events as it should, from its first frames on', () => {
    const scene = rulesOn([
      { id: 'seen', kind: 'appears' },
      { id: 'many', kind: 'count', above: 1 },
    ]);
    for (let frame = 0; frame < 30; frame++) {
      const actors =
        frame >= 2 && frame < 20
          ? [
              { id: 1, x: 100 },
              { id: 2, x: 300 },
            ]
          : [];
      scene.events.onFrame({ ...frameOf(frame, actors), ptsUs: frame * 10_000_000 });
    }
    expect(brief(scene.records)).toEqual([
      'seen new 20',
      'seen new 20',
      'many new 20',
      'seen end 220',
      'seen end 220',
      'many end 220',
    ]);
  });
});
