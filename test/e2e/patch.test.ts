import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { temporaryFolder } from '../support/cli.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

const SIDE = 128;
const camera = (rate: number): string => `synthetic:testsrc2=size=${SIDE}x${SIDE}:rate=${rate}`;
/** In the middle, from the bottom up. */
const GATE = { id: 'gate', from: [0.5, 1], to: [0.5, 0] };
const ZONE = {
  id: 'all',
  polygon: [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ],
};

describe('PATCH of a stream of sightline run', () => {
  const temporary = temporaryFolder();
  let run: PipelineProcess;
  let url: string;
  let results: string;

  beforeAll(async () => {
    results = join(temporary.path, 'results.jsonl');
    const path = join(temporary.path, 'pipeline.yaml');
    // The engine finds one box in the middle of its input, so a region that is moved carries an object through the picture.
    const model = { engine: 'fake', inputSize: '64x64', fake: { callMs: 1, rows: [16, 16, 32, 32, 0.9, 0] } };
    const track = { lostMs: 600_000 };
    const cam = { source: camera(25), lines: [GATE], track, region: regionAt(0) };
    const streams = [
      { id: 'absent', source: join(temporary.path, 'absent.mp4') },
      { id: 'cam', ...cam },
      { id: 'last', source: camera(5) },
    ];
    const defaults = { policy: 'live', realtime: true };
    const sinks = [{ type: 'jsonl', path: results, streams: ['cam'] }];
    writeFileSync(path, JSON.stringify({ name: 'test', description: 'Changed.', model, defaults, sinks, streams }));
    run = new PipelineProcess(path);
    await waitFor('the pipeline', () => / is running with /.test(run.log), { deadlineMs: 60_000 });
    url = /live at (http:\S+)/.exec(run.log)![1]!;
    await more(5);
  });

  afterAll(async () => {
    await run.stop();
    temporary.remove();
  });

  function regionAt(x: number): object {
    return { x, y: 0, width: 0.5, height: 0.5 };
  }

  const request = async (settings: object, id: string): Promise<Response> => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(settings);
    return fetch(`${url}/api/streams/${id}`, { method: 'PATCH', headers, body });
  };
  const patch = async (settings: object, id = 'cam'): Promise<number> => (await request(settings, id)).status;
  const list = async (): Promise<StreamReport[]> =>
    ((await (await fetch(`${url}/api/streams`)).json()) as { streams: StreamReport[] }).streams;
  const cam = async (): Promise<StreamReport> => (await (await fetch(`${url}/api/streams/cam`)).json()) as StreamReport;
  /** Waits until it has published so many more frames. */
  const more = async (count: number): Promise<StreamReport> => {
    const from = (await cam()).frames.published;
    await waitFor('more frames', async () => (await cam()).frames.published >= from + count, { deadlineMs: 30_000 });
    return cam();
  };
  const GATE_CROSSED = { id: 'gate', leftToRight: 1, rightToLeft: 0 };

  it('that opens the source again follows an object through it: it crosses the line once', async () => {
    for (const x of [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]) {
      expect(await patch({ region: regionAt(x) })).toBe(200);
      await more(4);
    }
    await waitFor('the crossing', async () => (await cam()).lines[0]!.leftToRight > 0);
    expect((await cam()).lines).toMatchObject([GATE_CROSSED]);
  });

  it.each<[string, object]>([
    ['a rate', { maxFps: 7 }],
    ['another choice of frames', { every: 2, maxFps: 25 }],
    ['a zone', { zones: [ZONE] }],
    ['a second line', { lines: [GATE, { ...GATE, id: 'other' }] }],
    ['a line that is moved', { lines: [{ ...GATE, from: [0.45, 1] }] }],
    ['settings of the tracker', { track: { minHits: 2, lostMs: 5000 } }],
    ['skipping', { skip: { unchanged: true, trackBetween: 3 } }],
    ['targets', { target: { latencyMs: 200 } }],
    ['another source', { source: camera(30) }],
    ['another decoder', { decodeThreads: 2, staleMs: 5000 }],
    ['everything back', { every: 1, zones: [], lines: [GATE], skip: null, target: null, source: camera(25) }],
  ])('to %s keeps the counts, and goes on counting', async (_, settings) => {
    const before = await cam();
    // Other answers show the report of the last second.
    const after = (await (await request(settings, 'cam')).json()) as StreamReport;
    expect(after.lines[0]).toMatchObject(GATE_CROSSED);
    expect(after.frames.in).toBeGreaterThanOrEqual(before.frames.in);
    expect(after.frames.published).toBeGreaterThanOrEqual(before.frames.published);
    expect(conservationGap(after.frames)).toBe(0);
    const later = await more(5);
    expect(later.lines[0]).toMatchObject(GATE_CROSSED);
    expect(conservationGap(later.frames)).toBe(0);
    expect((await list()).map(({ id }) => id)).toEqual(['absent', 'cam', 'last']);
  });

  it('that is refused, or cannot be opened, changes nothing', async () => {
    const before = await cam();
    expect(await patch({ maxFps: 3, lines: [{ ...GATE, to: GATE.from }] })).toBe(400);
    expect(await patch({ zones: [ZONE], source: join(temporary.path, 'absent.mp4') })).toBe(422);
    const after = await more(3);
    expect([after.source, after.lines, after.zones]).toEqual([before.source, before.lines, before.zones]);
    expect(after.lines).toMatchObject([GATE_CROSSED]);
  });

  it('that makes a failed stream run leaves it at its place in the list', async () => {
    expect(await patch({ source: camera(5) }, 'absent')).toBe(200);
    await waitFor('it to run', async () => (await list())[0]!.state === 'running', { deadlineMs: 20_000 });
    expect((await list()).map(({ id }) => id)).toEqual(['absent', 'cam', 'last']);
  });

  it('leaves results of one run, with numbers that only rise and one crossing', async () => {
    await run.stop();
    const lines = readFileSync(results, 'utf8').trim().split('\n');
    const records = lines.map((line) => JSON.parse(line) as { run: string; frame: number; crossings?: object[] });
    expect(new Set(records.map(({ run: each }) => each)).size).toBe(1);
    const numbers = records.map(({ frame }) => frame);
    expect(numbers.length).toBeGreaterThan(80);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(records.flatMap(({ crossings = [] }) => crossings)).toHaveLength(1);
  });
});
