import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { describeVideo } from '../support/read-video.ts';
import { waitFor } from '../support/wait-for.ts';

interface Line {
  readonly source: string;
  readonly frame: number;
  readonly run: string;
  readonly detections: readonly unknown[];
}
interface Entry {
  readonly image_id: number;
}

/** A paced source that drops no frames on a busy machine, one box in every frame, and each kind of file sink. */
const PIPELINE = (folder: string): string => `
name: restarted
description: A camera whose results are written to files.
model: { engine: fake, fake: { rows: [128, 128, 256, 256, 0.9, 0] } }
streams:
  - { id: door, source: "synthetic:testsrc2=size=320x180:rate=25", realtime: true, policy: file }
sinks:
  - { type: jsonl, path: "${folder}/day.jsonl" }
  - { type: coco, path: "${folder}/day.json" }
  - { type: video, path: "${folder}/day.mp4", streams: [door] }
`;

describe('sightline run, killed and restarted', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  const started: PipelineProcess[] = [];
  beforeEach(() => {
    temporary = temporaryFolder();
    writeFileSync(at('pipeline.yaml'), PIPELINE(temporary.path));
  });
  afterEach(async () => {
    for (const process of started.splice(0)) await process.kill();
    temporary.remove();
  });

  const at = (name: string): string => join(temporary.path, name);
  const start = (): PipelineProcess => {
    const process = new PipelineProcess(at('pipeline.yaml'));
    started.push(process);
    return process;
  };
  const text = (name: string): string => (existsSync(at(name)) ? readFileSync(at(name), 'utf8') : '');
  const lineCount = (name: string): number => text(name).split('\n').length - 1;
  const sizeOf = (name: string): number => (existsSync(at(name)) ? statSync(at(name)).size : 0);
  const entries = (name: string): Entry[] => JSON.parse(text(name)) as Entry[];
  const firstNumbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => i + from);

  it('keeps every line, entry and picture of the first run, and leaves no incomplete files', async () => {
    const first = start();
    // A fragment of the video has two seconds, 50 pictures; its header alone has 1 KB.
    await waitFor(
      'results of the first run',
      () => lineCount('day.jsonl') > 100 && sizeOf('day.partial.mp4') > 20_000,
      { deadlineMs: 60_000 },
      () => first.log,
    );
    await first.kill();
    const wholeLines = text('day.jsonl').slice(0, text('day.jsonl').lastIndexOf('\n') + 1);
    const firstEntries = lineCount('day.partial.json') - 1;
    expect(firstEntries).toBeGreaterThan(50);
    // A crash can cut the last line at any byte.
    writeFileSync(at('day.jsonl'), `${wholeLines}{"source":"synthetic:te`);
    appendFileSync(at('day.partial.json'), '{"image_id":12');

    const second = start();
    await waitFor(
      'results of the second run',
      () => text('day.jsonl').length > wholeLines.length + 5000 && sizeOf('day.partial.mp4') > 20_000,
      { deadlineMs: 60_000 },
      () => second.log,
    );
    const { code, stderr } = await second.stop();
    expect(code).toBe(0);

    expect(text('day.jsonl').startsWith(wholeLines)).toBe(true);
    const lines = text('day.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const runs = [...new Set(lines.map(({ run }) => run))];
    expect(runs).toHaveLength(2);
    expect(runs).toEqual([...runs].sort());
    for (const run of runs) {
      const frames = lines.filter((line) => line.run === run).map(({ frame }) => frame);
      expect(frames).toEqual(firstNumbers(frames.length));
    }
    expect(stderr).toMatch(/day\.jsonl is continued \(removed 23 bytes of an incomplete last line\)/);

    const recovered = entries('day.recovered-1.json').map(({ image_id }) => image_id);
    expect(recovered.length).toBeGreaterThanOrEqual(firstEntries);
    expect(recovered).toEqual(firstNumbers(recovered.length, 1));
    expect(entries('day.json').length).toBe(lines.filter(({ run }) => run === runs[1]).length);
    expect(stderr).toMatch(
      /an earlier run was cut short; its results are in .*day\.recovered-1\.json \(removed 14 bytes/,
    );

    const video = await describeVideo(at('day.recovered-1.mp4'));
    expect(video.timesMs.length).toBeGreaterThanOrEqual(50);
    expect((await describeVideo(at('day.mp4'))).timesMs.length).toBeGreaterThanOrEqual(50);
    expect(readdirSync(temporary.path).sort()).toEqual(
      [
        ...['day.json', 'day.jsonl', 'day.mp4'],
        ...['day.recovered-1.json', 'day.recovered-1.mp4', 'pipeline.yaml'],
      ].sort(),
    );
  });

  it('keeps the files of a run that ended normally', async () => {
    const seen: number[] = [];
    for (const name of ['first', 'second']) {
      const process = start();
      const before = lineCount('day.jsonl');
      await waitFor(`results of the ${name} run`, () => lineCount('day.jsonl') > before + 20, { deadlineMs: 60_000 });
      expect((await process.stop()).code).toBe(0);
      seen.push(lineCount('day.jsonl') - before);
    }
    expect([entries('day.1.json').length, entries('day.json').length]).toEqual(seen);
    expect((await describeVideo(at('day.1.mp4'))).timesMs.length).toBeGreaterThan(0);
    expect((await describeVideo(at('day.mp4'))).timesMs.length).toBeGreaterThan(0);
    expect(readdirSync(temporary.path).filter((name) => /partial|tmp|lock|recovered/.test(name))).toEqual([]);
  });

  it('survives repeated kills at random times', async () => {
    for (const lines of [0, 1, 17, 60]) {
      const process = start();
      const before = lineCount('day.jsonl');
      const isKillable = () =>
        lines === 0 ? existsSync(at('day.jsonl.lock')) : lineCount('day.jsonl') >= before + lines;
      await waitFor(`${lines} lines`, isKillable, { deadlineMs: 60_000 }, () => process.log);
      await process.kill();
    }
    const last = start();
    const before = lineCount('day.jsonl');
    await waitFor(
      'the last lines',
      () => lineCount('day.jsonl') > before,
      { deadlineMs: 60_000 },
      () => last.log,
    );
    expect((await last.stop()).code).toBe(0);

    const framesOf = new Map<string, number[]>();
    for (const line of text('day.jsonl').trimEnd().split('\n')) {
      const { run, frame } = JSON.parse(line) as Line;
      framesOf.set(run, [...(framesOf.get(run) ?? []), frame]);
    }
    expect(framesOf.size).toBeGreaterThanOrEqual(4);
    for (const frames of framesOf.values()) expect(frames).toEqual(firstNumbers(frames.length));
    const names = readdirSync(temporary.path);
    expect(names.filter((name) => /partial|tmp|lock/.test(name))).toEqual([]);
    const recovered = names.filter((name) => name.startsWith('day.recovered-') && name.endsWith('.json'));
    for (const name of recovered) expect(entries(name).map((entry) => entry.image_id)[0]).toBe(1);
    expect(recovered.length).toBeGreaterThan(0);
    for (const name of names.filter((each) => each.endsWith('.mp4')))
      expect((await describeVideo(at(name))).timesMs.length, name).toBeGreaterThan(0);
  });

  it('refuses to write a file that a running pipeline writes, and names its process', async () => {
    const first = start();
    await waitFor('lines of the first one', () => lineCount('day.jsonl') > 10, { deadlineMs: 60_000 });
    const { code, stderr } = await start().end();
    expect(code).toBe(1);
    expect(stderr).toMatch(/sink jsonl-1: .*day\.jsonl is written by sink jsonl-1 of process \d+ on .*\[SINK_BUSY\]/);
    expect((await first.stop()).code).toBe(0);
    for (const line of text('day.jsonl').trimEnd().split('\n')) JSON.parse(line);
    expect(new Set(text('day.jsonl').match(/"run":"[^"]*"/g)).size).toBe(1);
  });
});
