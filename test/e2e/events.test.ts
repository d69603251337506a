import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cliHere } from '../support/cli-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-events-'));
const at = (name: string): string => join(folder, name);
const results = at('results.jsonl');
const RULES = {
  zones: [
    {
      id: 'left',
      polygon: [
        [0, 0],
        [0.5, 0],
        [0.5, 1],
        [0, 1],
      ],
    },
  ],
  events: [{ id: 'stays', kind: 'dwells', zone: 'left', for: '2s', labels: ['person'] }],
};

/** A person walks into the left half in frame 20, stands there until frame 59, and is gone. Ten frames a second. */
function line(frame: number, hasTracks = true): string {
  const x = frame < 20 ? 700 - frame * 10 : 300;
  const person = {
    classId: 0,
    label: 'person',
    score: 0.8,
    box: [x, 200, 40, 100],
    ...(hasTracks ? { trackId: 7 } : {}),
  };
  const detections = frame < 60 ? [person] : [];
  return `${JSON.stringify({ stream: 'cam', frame, ptsUs: frame * 100_000, width: 1000, height: 500, by: 'inferred', detections })}\n`;
}

function file(name: string, content: unknown): string {
  writeFileSync(at(name), typeof content === 'string' ? content : JSON.stringify(content));
  return at(name);
}

beforeAll(() => {
  writeFileSync(results, Array.from({ length: 150 }, (_, frame) => line(frame)).join(''));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('sightline events over results of detect', () => {
  it('prints each event with its times, its rule and its reason', async () => {
    const { code, stdout } = await cliHere(['events', results, '--rules', file('a.yaml', RULES)]);
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      `${results}: 1 event; kept back: 0 at other times, 0 within a cooldown, 0 by an expression`,
      '00:04.0  to 00:05.9  stays  person 7 has stayed in zone left for 2 s',
    ]);
  });

  it('writes CloudEvents, and the same ones each time', async () => {
    const written = async (): Promise<string> => {
      const { code } = await cliHere(['events', results, '--rules', file('a.yaml', RULES), '--out', at('out.jsonl')]);
      expect(code).toBe(0);
      return readFileSync(at('out.jsonl'), 'utf8');
    };
    const first = await written();
    expect(await written()).toBe(first);
    const [begin, end, ...others] = first
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));
    expect(others).toEqual([]);
    expect(begin).toMatchObject({ type: 'io.sightline.event.new', subject: 'stays', source: '/streams/cam' });
    expect(end).toMatchObject({
      type: 'io.sightline.event.end',
      data: { id: begin.data.id, seq: 1, endReason: 'over' },
    });
  });

  it('compares two sets of rules', async () => {
    const longer = {
      ...RULES,
      events: [
        { ...RULES.events[0], for: '10s' },
        { id: 'seen', kind: 'appears' },
      ],
    };
    const args = ['events', results, '--rules', file('new.yaml', longer), '--compare', file('old.yaml', RULES)];
    const { stdout } = await cliHere([...args, '--json']);
    const [{ compared }] = JSON.parse(stdout).recordings;
    expect(compared).toMatchObject({ gained: [{ rule: 'seen' }], lost: [{ rule: 'stays' }], kept: 0 });
    const { stdout: text } = await cliHere(args);
    expect(text).toContain('compared: 1 gained, 1 lost, 0 the same\n+00:00.0');
    expect(text).toMatch(/^-00:04\.0 {2}to 00:05\.9 {2}stays/m);
  });

  it('knows the time of the week with --start', async () => {
    const times = { timeZone: 'UTC', on: ['mon 12:00-12:01'] };
    const rules = file('times.yaml', { events: [{ id: 'noon', kind: 'appears', times }] });
    const { stdout } = await cliHere([
      'events',
      results,
      '--rules',
      rules,
      '--start',
      '2026-05-04T11:59:57Z',
      '--json',
    ]);
    const [{ events }] = JSON.parse(stdout).recordings;
    expect(events).toHaveLength(1);
    expect(events[0].raised).toEqual({ ptsUs: 3_000_000, at: '2026-05-04T12:00:00.000Z' });
  });

  it('reads what second stages said', async () => {
    const said = Array.from({ length: 100 }, (_, frame) => {
      const { detections, ...result } = JSON.parse(line(frame));
      const attributes = { coat: { label: 'red', score: 0.9, atUs: 0 } };
      return `${JSON.stringify({ ...result, detections: detections.map((each: object) => ({ ...each, attributes })) })}\n`;
    }).join('');
    const counts = ['red', 'blue'].map(async (coat) => {
      const event = { id: 'coat', kind: 'appears', when: `attributes.coat == "${coat}"` };
      const rules = file(`${coat}.yaml`, { events: [event] });
      const { stdout } = await cliHere(['events', file('said.jsonl', said), '--rules', rules, '--json']);
      return JSON.parse(stdout).recordings[0].events.length;
    });
    expect(await Promise.all(counts)).toEqual([1, 0]);
  });

  it('takes results of several recordings apart, and a recording in which nothing is seen', async () => {
    const of = (source: string, hasObjects: boolean): string =>
      Array.from({ length: 100 }, (_, frame) => {
        const result = JSON.parse(line(frame));
        return `${JSON.stringify({ ...result, source, detections: hasObjects ? result.detections : [] })}\n`;
      }).join('');
    const both = file('both.jsonl', of('a/one.mp4', true) + of('b/two.mp4', true));
    const rules = file('a.yaml', RULES);
    const { stdout } = await cliHere(['events', both, '--rules', rules, '--json']);
    const { recordings } = JSON.parse(stdout);
    expect(recordings.map(({ input }: { input: string }) => input)).toEqual([
      `${both}, a/one.mp4`,
      `${both}, b/two.mp4`,
    ]);
    const ids = recordings.flatMap(({ events }: { events: { id: string }[] }) => events.map(({ id }) => id));
    expect(new Set(ids).size).toBe(2);
    const empty = await cliHere(['events', file('quiet.jsonl', of('c.mp4', false)), '--rules', rules]);
    expect([empty.code, empty.stdout]).toEqual([0, expect.stringContaining('0 events')]);
    expect(empty.stderr).toContain('has no object labelled person');
  });

  it('takes the rules of a stream of a pipeline', async () => {
    const streams = [
      { id: 'yard', source: 'rtsp://camera/1' },
      { id: 'door', source: 'rtsp://camera/2', ...RULES },
    ];
    const pipeline = file('cameras.yaml', { name: 'cameras', description: 'Two cameras.', streams });
    const { stdout } = await cliHere(['events', results, '--rules', pipeline, '--stream', 'door', '--json']);
    expect(JSON.parse(stdout).recordings[0].events).toHaveLength(1);
  });
});

describe('sightline events refuses', () => {
  const pipeline = { name: 'p', description: 'd', streams: ['a', 'b'].map((id) => ({ id, source: 'demo', ...RULES })) };
  it.each([
    ['rules that name no zone of theirs', { ...RULES, zones: [] }, [], 'events[0].zone: expected a zone of the stream'],
    ['a key that does not exist', { evnts: [] }, [], 'evnts'],
    ['a file without rules', { zones: RULES.zones }, [], 'expected rules under events, found none'],
    ['a list', [1], [], 'expected a pipeline, or settings of a stream'],
    ['text that is no YAML', 'events: [', [], 'not valid YAML'],
    ['a pipeline with several streams', pipeline, [], 'expected one stream, or --stream that names one; it has a, b'],
    ['a stream that the pipeline lacks', pipeline, ['--stream', 'c'], 'expected one stream "c"; it has a, b'],
    ['a time that is none', RULES, ['--start', 'noon'], '--start: expected a date and time'],
    ['a day that is none', RULES, ['--start', '2026-02-30T10:00:00Z'], '--start: expected a date and time'],
    ['a time without its zone', RULES, ['--start', '2026-02-03T10:00:00'], 'with its distance from UTC'],
    ['standard output', RULES, ['--out', '-'], '--out: expected the name of a file'],
    ['an output that is an input', RULES, ['--out', results], 'is an input'],
    [
      'an expression about the hour without --start',
      { events: [{ id: 'x', kind: 'appears', when: 'hour > 21.0' }] },
      [],
      'rule x of',
    ],
    [
      'times of the week without --start',
      { events: [{ id: 'x', kind: 'appears', times: { on: ['daily 08:00-18:00'] } }] },
      [],
      'rule x of',
    ],
    ['a file that cannot be written', RULES, ['--out', '/nowhere/out.jsonl'], '--out'],
  ])('%s', async (_, rules, flags, expected) => {
    const { code, stderr } = await cliHere(['events', results, '--rules', file('rules.yaml', rules), ...flags]);
    expect(stderr).toContain(expected);
    expect(code).toBeGreaterThan(0);
  });

  it.each([
    ['a line that is no result', '{"frame":0}\n', ':1: expected a result as detect --track --out writes it'],
    [
      'results without tracks',
      Array.from({ length: 5 }, (_, frame) => line(frame, false)).join(''),
      'write it with --track',
    ],
    ['an empty file', '', 'expected results, a JSON line each'],
  ])('%s', async (_, content, expected) => {
    const { code, stderr } = await cliHere(['events', file('bad.jsonl', content), '--rules', file('a.yaml', RULES)]);
    expect(stderr).toContain(expected);
    expect(code).toBe(2);
  });

  it('a recording that does not exist', async () => {
    const { code, stderr } = await cliHere(['events', at('none.jsonl'), '--rules', file('a.yaml', RULES)]);
    expect(stderr).toContain('SOURCE_NOT_FOUND');
    expect(code).toBe(1);
  });
});
