import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import { Archive } from '../../src/after/recording/archive.ts';
import { readIndex } from '../../src/after/recording/fragment-file.ts';
import { recordingsIn } from '../../src/after/recording/spans.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { cliHere } from '../support/cli-here.ts';
import { recorderRig, T0_MS } from '../support/recorder-rig.ts';
import { ruleEvent } from '../support/rule-events.ts';

const rig = recorderRig();
let folder: string;
let framesThen: number;
let cache: string;

/** A box that is always there; the candidate finds nothing. */
const SEES = { rows: [20, 20, 40, 40, 0.9, 0] };
const RULES = {
  track: true,
  events: [
    // Its events begin while the stream is seen, a minute apart.
    { id: 'some', kind: 'dwells', for: '5s', labels: ['person'] },
    { id: 'none', kind: 'count', below: 1, for: '2s', labels: ['person'] },
  ],
};

function pipeline(fake: object = SEES, more: object = {}): string {
  const path = join(rig.root, `${Math.random()}.yaml`);
  const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake };
  const file = { name: 'recorded', description: 'Recorded.', lanes: 1, model, recording: { folder } };
  writeFileSync(path, JSON.stringify({ ...file, ...more, streams: [{ id: 'cam', source: 'demo', ...RULES }] }));
  return path;
}

/** 70 s in two files, at least 20 s without, and 15 s. */
beforeAll(async () => {
  folder = await rig.recordedWithGap(70, 20_000_000, 15);
  cache = mkdtempSync(join(rig.root, 'cache-'));
  const files = recordingsIn((await Archive.read(folder)).files, {});
  const indices = await Promise.all(files.map(({ path }) => readIndex(path)));
  framesThen = indices.flatMap(({ fragments }) => fragments).reduce((sum, { frames }) => sum + frames, 0);
});

const at = (seconds: number): string => new Date(T0_MS + seconds * 1000).toISOString();
const events = (...args: readonly string[]) =>
  cliHere(['events', ...args, '--recorded', 'cam'], { SIGHTLINE_CACHE_DIR: cache });
const SPAN = ['--from', at(-10), '--to', at(300)];

describe('sightline events --recorded', () => {
  it('sees all frames over files and gaps as one stream, with their wall clock, and says what is missing', async () => {
    const out = join(rig.root, 'events.jsonl');
    const { code, stdout } = await events('--rules', pipeline(), ...SPAN, '--json', '--out', out);
    expect(code).toBe(0);
    const [{ recorded, events: found, live, compared }] = JSON.parse(stdout).recordings;
    expect(recorded).toMatchObject({ from: at(-10), to: at(300), captureClock: 'arrival', frames: framesThen });
    expect(recorded.gaps.map(({ reason }: { reason: string }) => reason)).toEqual(['start', 'reconnect', 'end']);
    expect([live, compared]).toEqual([null, undefined]);
    // One object, over two files; another one after the gap, in which nobody looked.
    const raised = found.map(({ rule, raised }: RuleEvent) => [rule, (Date.parse(raised.at!) - T0_MS) / 1000]);
    expect(raised.map(([rule]: [string]) => rule)).toEqual(['some', 'some']);
    expect(raised[0][1]).toBeCloseTo(5, 0);
    const gap = recorded.gaps[1];
    expect(raised[1][1]).toBeCloseTo((Date.parse(gap.to) - T0_MS) / 1000 + 5, 0);
    expect(found[0]).toMatchObject({ endReason: 'blind', captureClock: 'arrival' });
    const records = readFileSync(out, 'utf8').trimEnd().split('\n');
    expect(JSON.parse(records[0]!)).toMatchObject({ type: 'io.sightline.event.new', time: found[0].raised.at });
  });

  it('compares another detector and other rules, and judges nothing that a gap may have hidden', async () => {
    const rules = pipeline();
    const other = await events('--rules', pipeline({ rows: [] }), '--compare', rules, ...SPAN, '--json');
    const [{ compared }] = JSON.parse(other.stdout).recordings;
    // All that both found began with the recording, or after a gap.
    expect(compared).toMatchObject({ with: rules, gained: [], lost: [], kept: 0, unjudged: 4 });
    expect(compared.rates.lost).toEqual({ share: null, interval: [0, 1] });
    const { stdout } = await events('--rules', rules, '--compare', rules, ...SPAN);
    expect(stdout).toMatch(/3 gaps\ngap .* start\ngap .* reconnect\ngap .* end\ncam: 2 events/);
    expect(stdout).toContain('0 gained, 0 lost, 0 the same, 2 not judged');
  });

  it('compares with what happened live, frame by frame, if the history has it', async () => {
    const path = join(rig.root, 'live.db');
    let now = T0_MS;
    const history = await History.open({
      path,
      maxBytes: 2 ** 24,
      days: 1e4,
      onNotice: () => undefined,
      wallMs: () => now,
    });
    const raise = async (rule: string, fromS: number, toS: number, kind: RuleEvent['kind'] = 'dwells') => {
      // The clock of the camera is an hour off.
      const moment = (s: number) => ({ ptsUs: s * 1e6, at: at(s + 3600) });
      const what = { rule, stream: 'cam', kind, began: moment(fromS), raised: moment(fromS) };
      for (const [seq, phase, s] of [
        [0, 'new', fromS],
        [1, 'end', toS],
      ] as const) {
        now = T0_MS + s * 1000 + 300;
        const more = phase === 'end' ? { ended: moment(toS) } : {};
        await history.record(ruleEvent(`${rule}-${fromS}`, seq, phase, { ...what, ...moment(s), ...more }));
      }
    };
    await raise('some', 40, 50);
    await raise('gone', 62, 63);
    // In the gap; of the stream itself; after the span.
    await raise('some', 80, 82);
    await raise('lost', 30, 35, 'stream');
    await raise('some', 400, 401);
    const ask = async () =>
      JSON.parse((await events('--rules', pipeline(), '--history', path, ...SPAN, '--json')).stdout).recordings[0].live;
    expect(await ask(), 'before the history has seen the stream').toBe(null);
    const detections = [{ classId: 0, label: 'person', score: 0.9, box: [0, 0, 9, 9], trackId: 1 }];
    for (const frame of [0, 1]) {
      now = T0_MS + 60_000 + frame * 40;
      history.observe({ streamId: 'cam', run: 'r', frame, ptsUs: frame * 40_000, detections } as never);
    }
    // An overloaded host: three frames in the first minute, the only one without a gap.
    for (const frame of [2, 3, 4]) {
      now = T0_MS + 10_000 + frame * 1000;
      history.observe({ streamId: 'cam', run: 's', frame, ptsUs: frame * 1e6, detections } as never);
    }
    await history.close();
    const live = await ask();
    const timesOf = (list: RuleEvent[]) => list.map(({ rule, raised, ended }) => [rule, raised.at, ended!.at]);
    expect(timesOf(live.lost)).toEqual([
      ['some', at(40), at(50)],
      ['gone', at(62), at(63)],
    ]);
    expect(live).toMatchObject({ with: 'what happened live', gained: [], kept: 0, unjudged: 3 });
    expect(live.frames).toEqual({ live: 3, now: expect.toSatisfy((frames: number) => frames > 290 && frames < 1510) });
    const { stdout } = await events('--rules', pipeline(), '--history', path, ...SPAN);
    expect(stdout).toMatch(/compared with what happened live, where it saw 3 of [\d,]+ frames: 0 gained/);
    const [low, high] = live.rates.lost.interval;
    // Two of two: 0.025 ** (1 / 2).
    expect([live.rates.lost.share, low, high]).toEqual([1, expect.closeTo(Math.sqrt(0.025), 6), 1]);
  });

  it.each([
    [
      'a stream that is unknown',
      () => [folder, '--recorded', 'cam2', '--stream', 'cam', ...SPAN],
      'nothing of stream "cam2"; it has cam',
    ],
    [
      'a span without anything',
      () => [folder, '--from', at(9000), '--to', at(9999)],
      'its recordings are of 2026-01-31',
    ],
    ['a gap alone', () => [folder, '--from', at(75), '--to', at(78)], 'nothing of stream "cam" is recorded from'],
    [
      'a span that ends before it begins',
      () => [folder, '--from', at(9), '--to', at(8)],
      'expected a time before --to',
    ],
    ['no span', () => [folder, '--from', at(9)], 'expected --from and --to'],
    [
      'a time without a zone',
      () => [folder, '--from', '2026-01-31T00:00:00', '--to', at(8)],
      '--from: expected a date',
    ],
    ['a start', () => [folder, ...SPAN, '--start', at(1)], 'not with --recorded'],
    ['no folder', () => [join(rig.root, 'nowhere'), ...SPAN], 'expected a folder of recordings'],
    ['two folders', () => [folder, folder, ...SPAN], 'expected one folder'],
    ['a history that is not there', () => [folder, ...SPAN, '--history', 'no.db'], 'no.db: no such file'],
  ])('refuses %s', async (_, args, said) => {
    const { code, stderr } = await cliHere(['events', '--recorded', 'cam', '--rules', pipeline(), ...args()]);
    expect([code === 0, stderr]).toEqual([false, expect.stringContaining(said)]);
  });

  it('finds the folder by the pipeline file, or the only one with the stream, and says where it looked', async () => {
    const bare = join(rig.root, 'bare.yaml');
    writeFileSync(bare, JSON.stringify(RULES));
    const { code, stderr } = await events('--rules', bare, ...SPAN);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`none below ${join(cache, 'recordings')} has stream`)]);
  });

  it('needs --recorded for its flags, and an input without it', async () => {
    for (const [args, said] of [
      [['--from', at(1)], '--from: only valid with --recorded'],
      [[], 'expected a video'],
    ] as const) {
      const { code, stderr } = await cliHere(['events', '--rules', pipeline(), ...args]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
    }
  });

  it('fails if all that is stored is damaged', async () => {
    const { path } = recordingsIn((await Archive.read(folder)).files, {})[0]!;
    const bytes = readFileSync(path);
    writeFileSync(path, 'no video');
    const { code, stderr } = await events('--rules', pipeline(), '--from', at(5), '--to', at(20));
    writeFileSync(path, bytes);
    expect([code, stderr]).toEqual([1, expect.stringContaining('what is stored is damaged')]);
  });
});
