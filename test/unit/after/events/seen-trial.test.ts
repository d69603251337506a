import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSeen, type SeenEntry, SeenNames, SeenWriter } from '../../../../src/after/events/seen-codec.ts';
import { type Seen, SeenRecords } from '../../../../src/after/events/seen-records.ts';
import { type TrialSettings, tryOnSeen } from '../../../../src/after/events/seen-trial.ts';
import type { WatchedFrame } from '../../../../src/after/events/stream-events.ts';
import { type WatchedState, WatchedStream } from '../../../../src/after/events/watched-stream.ts';
import { LineCounter } from '../../../../src/frame/track/lines.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import type { TriedEvent } from '../../../../src/wire/protocol/tried-rules.ts';
import { type Actor, frameOf, settingsOf } from './scenes.ts';

const WALL_MS = 1_700_000_000_000;
const FRAME_MS = 100;
const RUNNING: WatchedState = { state: 'running', isMissing: false, framesIn: 1 };
const RULES = [
  { id: 'stays', kind: 'dwells', zone: 'left', for: '800ms', cooldown: '2s' },
  { id: 'passes', kind: 'crosses', line: 'middle', cooldown: '1s' },
  { id: 'one-way', kind: 'crosses', line: 'middle', direction: 'left-to-right', labels: ['person'] },
  { id: 'two', kind: 'count', zone: 'left', above: 1, for: '300ms' },
  { id: 'inside', kind: 'enters', zone: 'left', minScore: 0.5 },
  { id: 'gone', kind: 'leaves', when: 'age > 1.0' },
  { id: 'red', kind: 'dwells', for: '300ms', when: 'attributes.colour == "red"' },
  { id: 'hidden', kind: 'picture', for: '500ms' },
  { id: 'lost', kind: 'stream', for: '3s', troubles: ['down'] },
];
const LINES = { lines: [{ id: 'middle', from: [0.5, 0], to: [0.5, 1] }] };

/** What comes of a stream, one at a time. */
type Step =
  | { readonly frames: number; readonly actors: readonly (Actor & { readonly speed: number })[] }
  | { readonly state: WatchedState['state']; readonly seconds: number }
  | { readonly signs: readonly string[] };

/** Plays steps to rules as they run, and to the record of what was seen. */
function play(steps: readonly Step[], settings: TrialSettings, records = new SeenRecords()) {
  const live = new Map<string, TriedEvent>();
  const lines = new LineCounter(settings.lines);
  const emit = ({ seq: _seq, phase: _phase, ...event }: RuleEvent): void => void live.set(event.id, event);
  let [nowMs, frame] = [5000, 0];
  const watch = new WatchedStream({ stream: settings.id, settings, emit }, nowMs);
  const report = (state: WatchedState['state']): void => {
    const now = { ...RUNNING, state, framesIn: frame };
    watch.onState(now, nowMs, WALL_MS + nowMs);
    records.onState(settings.id, now, nowMs, WALL_MS + nowMs);
  };
  report('running');
  for (const step of steps) {
    if ('signs' in step) {
      watch.onPicture(step.signs);
      records.onPicture(settings.id, step.signs, nowMs);
    } else if ('state' in step) {
      for (let second = 0; second < step.seconds; second++) {
        nowMs += 1000;
        frame += 10;
        report(step.state);
      }
    } else
      for (let i = 0; i < step.frames; i++) {
        nowMs += FRAME_MS;
        frame += 1;
        const now = step.actors.map(({ speed, ...actor }) => ({ ...actor, x: actor.x + speed * i }));
        const clock = { capturedAtMs: WALL_MS + nowMs, captureClock: 'arrival' as const };
        const seen = { ...frameOf(frame, now), ...clock, run: 'run-1' };
        const crossings = lines.update(seen);
        watch.onResult({ ...seen, crossings }, nowMs);
        records.onResult({ ...seen, streamId: settings.id }, true, nowMs);
        if (frame % 10 === 0) report('running');
      }
  }
  return { live: [...live.values()], seen: records.of(settings.id, nowMs), seeing: watch.seeing(nowMs) };
}

const actor = fc.record({
  id: fc.integer({ min: 1, max: 6 }),
  label: fc.constantFrom('person', 'car'),
  score: fc.integer({ min: 3000, max: 9900 }).map((score) => score / 10_000),
  x: fc.integer({ min: 0, max: 1000 }),
  y: fc.integer({ min: 100, max: 500 }),
  speed: fc.integer({ min: -40, max: 40 }),
  colour: fc.option(fc.constantFrom('red', 'grün', ''), { nil: undefined }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      frames: fc.integer({ min: 1, max: 40 }),
      actors: fc.uniqueArray(actor, { maxLength: 4, selector: ({ id }) => id }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      state: fc.constantFrom('running', 'reconnecting', 'paused', 'failed'),
      seconds: fc.integer({ min: 1, max: 15 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ signs: fc.constantFrom<string[][]>([], ['black'], ['frozen']) }) },
);

describe('a rule that is tried on what was just seen', () => {
  it('makes the events that it made while it ran, whatever was seen', () => {
    const settings = settingsOf(RULES, LINES);
    const raised = new Map<string, number>();
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const { live, seen, seeing } = play(steps, settings);
        const tried = tryOnSeen({ settings, seen });
        const events = tried.rules.flatMap((rule) => rule.events);
        const byId = (a: TriedEvent, b: TriedEvent): number => a.id.localeCompare(b.id);
        expect(events.toSorted(byId)).toEqual(live.toSorted(byId));
        expect(tried.rules.map((rule) => rule.raised)).toEqual(tried.rules.map((rule) => rule.events.length));
        expect(tried.seeing).toEqual(seeing);
        for (const { rule } of events) raised.set(rule, (raised.get(rule) ?? 0) + 1);
      }),
      { numRuns: 150 },
    );
    // Every rule was met, or nothing was compared.
    expect([...raised.keys()].sort()).toEqual(RULES.map(({ id }) => id).sort());
  });

  it('keeps what was said of an object while another one is looked at', () => {
    const settings = settingsOf(RULES, LINES);
    const actor = { id: 1, label: 'person', score: 0.3, x: 0, y: 100, speed: 0 };
    const steps = [
      { frames: 1, actors: [{ ...actor, colour: 'red' }] },
      { frames: 3, actors: [{ ...actor, id: 2, colour: 'red' }, actor] },
    ];
    const { live, seen } = play(steps as Parameters<typeof play>[0], settings);
    expect(live.length).toBeGreaterThan(0);
    const tried = tryOnSeen({ settings, seen }).rules.flatMap((rule) => rule.events);
    expect(tried.map(({ id }) => id).toSorted()).toEqual(live.map(({ id }) => id).toSorted());
  });

  it('is said how long nothing was seen, and why, and so is each event', () => {
    const settings = settingsOf([{ id: 'stays', kind: 'dwells', zone: 'left', for: '1s' }]);
    const person = { frames: 30, actors: [{ id: 1, x: 100, speed: 0 }] };
    const { seen } = play([person, { state: 'reconnecting', seconds: 25 }, person], settings);
    const { seeing, rules } = tryOnSeen({ settings, seen });
    const { totalMs, watchedMs, blindMs } = seeing;
    expect(Object.keys(blindMs)).toEqual(['down']);
    expect(blindMs.down).toBeGreaterThan(22_000);
    expect(watchedMs + blindMs.down!).toBe(totalMs);
    // Before the first result it was down, too.
    expect(rules[0]!.events.map(({ endReason, blind }) => [endReason, blind])).toEqual([
      ['blind', { seconds: 0.1, reason: 'down' }],
      [undefined, { seconds: Math.round(blindMs.down! / 100) / 10, reason: 'down' }],
    ]);
  });

  it('follows objects that nobody followed, and says so', () => {
    const settings = settingsOf([{ id: 'stays', kind: 'dwells', zone: 'left', for: '1s' }]);
    const records = new SeenRecords();
    for (let frame = 0; frame < 60; frame++) {
      const { detections, ...rest } = frameOf(frame, frame < 40 ? [{ id: 1, x: 100 + frame }] : []);
      const unknown = detections.map(({ trackId: _, ...each }) => each);
      records.onResult({ ...rest, detections: unknown, streamId: 'yard', run: 'run-1' }, false, frame * FRAME_MS);
    }
    const tried = tryOnSeen({ settings, seen: records.of('yard', 6000) });
    expect([tried.isFollowedLater, tried.rules[0]!.raised]).toEqual([true, 1]);
    const counts = settingsOf([{ id: 'some', kind: 'count', above: 0 }]);
    const counted = tryOnSeen({ settings: counts, seen: records.of('yard', 6000) });
    expect([counted.isFollowedLater, counted.rules[0]!.raised]).toEqual([false, 1]);
  });

  it('tells all that it would have raised, and shows the newest 50', () => {
    const settings = settingsOf([{ id: 'inside', kind: 'enters', zone: 'left' }]);
    const steps = Array.from({ length: 80 }, (_, i) => ({ frames: 5, actors: [{ id: i + 1, x: 100, speed: 0 }] }));
    const [rule] = tryOnSeen({ settings, seen: play(steps, settings).seen }).rules;
    expect([rule!.raised, rule!.events.length]).toEqual([80, 50]);
    expect(rule!.events.map(({ trackId }) => trackId)).toEqual(Array.from({ length: 50 }, (_, i) => i + 31));
  });

  it('says what suppressed its events, and that its expression fails', () => {
    const rules = [
      { id: 'never', kind: 'appears', times: { timeZone: 'UTC', on: ['daily 00:00-00:01'] } },
      { id: 'fails', kind: 'appears', when: '1 / 0 > 0' },
    ];
    const settings = settingsOf(rules);
    const { seen } = play([{ frames: 20, actors: [{ id: 1, x: 100, speed: 0 }] }], settings);
    const [never, fails] = tryOnSeen({ settings, seen }).rules;
    expect(never).toMatchObject({ raised: 0, suppressed: { times: 1, cooldown: 0, when: 0 }, events: [] });
    expect(fails!.problem).toMatch(/^its expression fails, and counts as false: /);
  });
});

describe('what is remembered', () => {
  it('is read as it was written: to a tenth of a pixel, four digits and a millisecond', () => {
    const names = new SeenNames();
    const writer = new SeenWriter(names);
    const large: WatchedFrame = {
      frame: 2 ** 40,
      ptsUs: -(2 ** 45),
      width: 8192,
      height: 4320,
      run: 'b',
      captureClock: 'sender-report',
      capturedAtMs: WALL_MS,
      detections: [
        { classId: 0, label: 'person', score: 0.9182, box: [8191.4, 0.1, 0, 4320], trackId: 2 ** 33 },
        { classId: 0, label: 'dog', score: 1, box: [3.3, 2.2, 1.1, 0.7], trackId: 1 },
        { classId: 0, label: 'person', score: 0, box: [1, 2, 3, 4] },
      ],
    };
    const small: WatchedFrame = { frame: 0, ptsUs: 0, width: 10, height: 10, detections: [] };
    const entries: SeenEntry[] = [
      { type: 'result', nowMs: 1_000_000, frame: large },
      { type: 'picture', nowMs: 1_000_001, signs: ['black', 'moved'] },
      { type: 'state', nowMs: 1_000_002, wallMs: WALL_MS, now: { state: 'running', isMissing: true, framesIn: 1 } },
      { type: 'state', nowMs: 1_000_900, wallMs: WALL_MS - 7, now: { state: 'failed', isMissing: false, framesIn: 1 } },
      { type: 'result', nowMs: 1_000_900, frame: small },
      { type: 'result', nowMs: 1_000_950, frame: { ...large, frame: 3 } },
    ];
    for (const entry of entries) {
      if (entry.type === 'result') writer.result(entry.frame, entry.nowMs);
      else if (entry.type === 'picture') writer.picture(entry.signs, entry.nowMs);
      else writer.state(entry.now, entry.nowMs, entry.wallMs);
    }
    expect([...readSeen(writer.take(), names.list)]).toEqual(entries);
  });

  it('a box that is no number neither hangs nor spoils what follows', () => {
    const names = new SeenNames();
    const writer = new SeenWriter(names);
    const wrong = frameOf(1, [
      { id: 1, x: Number.NaN },
      { id: 2, x: Infinity },
    ]);
    writer.result(wrong, 100);
    writer.result(frameOf(2, [{ id: 3, x: 50 }]), 200);
    const read = [...readSeen(writer.take(), names.list)];
    expect(read[1]).toEqual({ type: 'result', nowMs: 200, frame: frameOf(2, [{ id: 3, x: 50 }]) });
  });

  const crowd = Array.from({ length: 20 }, (_, i) => ({ id: i, x: 40 * i }));
  const readAll = ({ chunks, names }: Seen): SeenEntry[] => chunks.flatMap((chunk) => [...readSeen(chunk, names)]);

  /** Twenty objects in 15 frames/s, for so many minutes, on several streams. */
  function remember(records: SeenRecords, streams: number, minutes: number, fps = 15) {
    const stepMs = 1000 / fps;
    for (let frame = 0; frame < minutes * 60 * fps; frame++)
      for (let stream = 0; stream < streams; stream++) {
        const moved = crowd.map(({ id, x }) => ({ id, x: x + ((frame * (id + 3)) % 37) }));
        const ptsUs = Math.round(frame * stepMs * 1000);
        records.onResult({ ...frameOf(frame, moved), ptsUs, streamId: `s${stream}`, run: 'r' }, true, frame * stepMs);
      }
    return minutes * 60_000;
  }

  it('takes no more bytes than it may: fewer results are kept, at least 5 a second, and then fewer minutes', () => {
    const bounds = { stream: 200_000, host: 300_000 };
    const records = new SeenRecords(bounds);
    const nowMs = remember(records, 2, 6);
    expect(records.bytes).toBeLessThanOrEqual(bounds.host);
    for (const stream of ['s0', 's1']) {
      const seen = records.of(stream, nowMs);
      expect(seen.chunks.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(bounds.host / 2);
      expect(seen.kept).toBeLessThan(seen.results / 2);
      const times = readAll(seen).map((entry) => entry.nowMs);
      expect(Math.max(...times.slice(1).map((ms, i) => ms - times[i]!))).toBeLessThanOrEqual(201);
      // What was dropped is the oldest.
      expect(times.at(-1)).toBeGreaterThan(nowMs - 1000);
      expect(seen.spanMs).toBeLessThan(6 * 60_000);
      expect(nowMs - seen.spanMs).toBeLessThanOrEqual(times[0]! + 1);
    }
  });

  it('leaves nothing out of a slow stream, and all comes back when there is less to remember', () => {
    const slow = new SeenRecords({ stream: 50_000, host: 50_000 });
    const slowMs = remember(slow, 1, 4, 6);
    expect(slow.of('s0', slowMs).kept).toBe(slow.of('s0', slowMs).results);

    const records = new SeenRecords({ stream: 1_000_000, host: 1_000_000 });
    const busyMs = remember(records, 1, 3);
    for (let frame = 0; frame < 2700; frame++)
      records.onResult(
        { ...frameOf(frame, []), ptsUs: 1e9 + frame * 66_667, streamId: 's0', run: 'r' },
        true,
        busyMs + frame * 66.667,
      );
    const seen = records.of('s0', busyMs + 180_000);
    expect(seen.kept).toBeLessThan(seen.results);
    const last = readAll(seen).filter(({ nowMs }) => nowMs > busyMs + 120_000);
    expect(last.length).toBeGreaterThan(890);
  });

  it('is an hour, and nothing once the stream is gone', () => {
    const records = new SeenRecords();
    for (let second = 0; second < 2 * 3600; second++)
      records.onState('s0', RUNNING, second * 1000, WALL_MS + second * 1000);
    const seen = records.of('s0', 7_200_000);
    expect(seen.spanMs).toBeGreaterThan(3_599_000);
    expect(seen.spanMs).toBeLessThanOrEqual(3_661_000);
    records.forget('s0');
    expect(records.of('s0', 7_200_000)).toMatchObject({ spanMs: 0, results: 0, chunks: [] });
    expect(records.bytes).toBe(0);
  });

  it('a picture that was black before its minute began still is', () => {
    const settings = settingsOf([{ id: 'hidden', kind: 'picture' }]);
    const records = new SeenRecords({ stream: 3000, host: 3000 });
    const { live, seen } = play(
      [{ frames: 5, actors: [] }, { signs: ['black'] }, { frames: 2400, actors: [] }],
      settings,
      records,
    );
    expect(live).toHaveLength(1);
    expect(seen.chunks.length).toBeGreaterThan(1);
    expect(seen.spanMs).toBeLessThan(230_000);
    const [rule] = tryOnSeen({ settings, seen }).rules;
    expect(rule).toMatchObject({ raised: 1 });
    expect(rule!.events[0]!.sign).toBe('black');
  });

  it('a recording that a job reads is not remembered', () => {
    const records = new SeenRecords();
    records.onResult({ ...frameOf(1, []), streamId: 's0' }, true, 5);
    expect(records.of('s0', 10).results).toBe(0);
  });
});
