import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { trackConfig } from '../../src/settings/config/track.ts';
import type { Task } from '../../src/wire/protocol/fleet.ts';
import type { ResultRecord } from '../../src/wire/protocol/result-record.ts';
import { BulkRig } from '../support/bulk-rig.ts';
import { CutClips } from '../support/cut-clips.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { parquetRows } from '../support/parquet-rows.ts';
import { isAlive } from '../support/processes.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { waitFor } from '../support/wait-for.ts';

const clips = new CutClips();
const disk = mountSmallDisk(join(clips.path, 'disk'), 8);
let rig: BulkRig;
let clip: string;
const out = join(clips.path, 'out');

beforeAll(async () => {
  clip = await clips.reordered();
  rig = await BulkRig.open({ root: clips.path });
});
afterEach(() => {
  rig.notices.length = 0;
  rmSync(out, { recursive: true, force: true });
});
afterAll(async () => {
  await rig.close();
  disk?.remove();
  clips.remove();
});

type Segment = Extract<Task, { kind: 'segment' }>;

/** Lists everything below the output folder. */
const left = (): string[] => (existsSync(out) ? readdirSync(out, { recursive: true }).map(String).sort() : []);

describe('a job', () => {
  it.each([
    { track: false, every: 1 },
    { track: true, every: 1 },
    { track: trackConfig.parse({ minHits: 3, lowScore: 0.2 }), every: 3 },
    { track: false, every: 40 },
  ])('in segments gives byte for byte what detect gives in one run: %j', async (settings) => {
    const order = rig.order(clip, { ...settings, segmentSeconds: 1 });
    expect(await rig.run(order)).toBe(5);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect([left(), rig.notices]).toEqual([['reordered.mp4.jsonl'], []]);
  });

  it('gives the same as a table, in one file, and nothing if it is cut short', async () => {
    const order = rig.order(clip, { track: true, segmentSeconds: 1, parquet: true });
    expect(await rig.run(order)).toBe(5);
    expect(left()).toEqual(['reordered.mp4.jsonl', 'reordered.mp4.parquet']);
    const lines = rig.result(order).trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line) as ResultRecord);
    const expected = records.flatMap(({ stream, source, frame, ptsUs, detections }) =>
      detections.map(({ label, score, box, trackId = null }) => ({
        stream,
        source,
        frame,
        ptsUs,
        label,
        score,
        box,
        trackId,
      })),
    );
    expect(expected.length).toBeGreaterThan(100);
    const rows = await parquetRows(join(out, 'reordered.mp4.parquet'));
    const table = rows.map(({ stream, source, frame, ptsUs, label, score, x, y, boxWidth, boxHeight, trackId }) => ({
      stream,
      source,
      frame: Number(frame),
      ptsUs: Number(ptsUs),
      label,
      score,
      box: [x, y, boxWidth, boxHeight],
      trackId,
    }));
    expect(table).toEqual(expected);
    rmSync(join(out, 'reordered.mp4.jsonl'));
    mkdirSync(join(out, 'reordered.mp4.jsonl'));
    await expect(rig.run(rig.order(clip, { parquet: true }))).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(left().filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  const READERS = {
    duckdb: `import duckdb, sys
print(duckdb.connect().execute(f"select count(*), sum(frame)::bigint from '{sys.argv[1]}'").fetchall()[0])`,
    pandas: `import pandas, sys
d = pandas.read_parquet(sys.argv[1])
print((len(d), int(d.frame.sum())))`,
  };
  it.for(Object.entries(READERS))('has a table that %s reads, if Python has it', async ([name, script], { skip }) => {
    const modules = name === 'pandas' ? 'pandas, pyarrow' : name;
    if (spawnSync('python3', ['-c', `import ${modules}`]).status !== 0) skip(`Python has no ${modules}`);
    const order = rig.order(clip, { segmentSeconds: 1, parquet: true });
    await rig.run(order);
    const lines = rig.result(order).trimEnd().split('\n');
    const frames = lines.flatMap((line) => {
      const { frame, detections } = JSON.parse(line) as ResultRecord;
      return detections.map(() => frame);
    });
    const { stdout, stderr } = spawnSync('python3', ['-c', script, join(out, 'reordered.mp4.parquet')], {
      encoding: 'utf8',
    });
    expect(stdout, stderr).toBe(`(${frames.length}, ${frames.reduce((sum, frame) => sum + frame, 0)})\n`);
  });

  it('that is not cut gives the same result too', async () => {
    for (const [, path] of await clips.irregular()) {
      const order = rig.order(path, { track: true });
      expect(await rig.run(order)).toBe(1);
      expect(rig.result(order)).toBe(await rig.detect(order));
    }
  });

  it('reports as many frames as it writes lines, while it runs', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments } = await rig.split(order);
    const told: number[] = [];
    const { frames } = await rig.do(segments[1]!, order, { progress: (count) => told.push(count) });
    expect([frames, told]).toEqual([25, Array.from({ length: 25 }, (_, i) => i + 1)]);
  });

  it('gives inputs with the same name separate results', async () => {
    const twin = join(clips.path, 'twin', 'reordered.mp4');
    mkdirSync(dirname(twin), { recursive: true });
    writeFileSync(twin, readFileSync(clip));
    const order = rig.order(clip, { inputs: [clip, twin] });
    for (const file of [0, 1]) {
      const { segments, merge } = await rig.split(order, file);
      for (const task of segments) await rig.do(task, order);
      await rig.do(merge, order);
    }
    const sources = left().map(
      (name) => (JSON.parse(readFileSync(join(out, name), 'utf8').split('\n')[0]!) as { source: string }).source,
    );
    expect(sources.sort()).toEqual([clip, twin].sort());
  });

  it('of a file that is not a video fails with the cause when it is read', async () => {
    const path = join(clips.path, 'no-video.mp4');
    writeFileSync(path, 'no video');
    await expect(rig.run(rig.order(path))).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: /no-video\.mp4/,
    });
    expect(left().filter((name) => /jsonl|tmp/.test(name))).toEqual([]);
  });

  it('outside the roots is refused in every task', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments, merge } = await rig.split(order);
    for (const forbidden of [
      { ...order, inputs: ['/etc/hostname'] },
      { ...order, outDir: '/tmp/elsewhere' },
    ])
      for (const task of [{ ...merge, kind: 'split' } as Task, segments[0]!, merge])
        await expect(rig.do(task, forbidden)).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
  });
});

describe('a task', () => {
  it('that runs again changes nothing, before and after the merge', async () => {
    const order = rig.order(clip, { segmentSeconds: 1, track: true });
    const first = await rig.split(order);
    expect(await rig.split(order)).toEqual(first);
    for (const task of [...first.segments, ...first.segments]) await rig.do(task, order);
    await rig.do(first.merge, order);
    const result = rig.result(order);
    expect(await rig.do(first.merge, order)).toEqual({ frames: 0, next: null });
    expect(rig.result(order)).toBe(result);
    expect(result).toBe(await rig.detect(order));
  });

  it('that runs twice at the same time does no harm', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments, merge } = await rig.split(order);
    await Promise.all(segments.flatMap((task) => [rig.do(task, order), rig.do(task, order)]));
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
  });

  it('that is aborted half-way leaves no segment result and no ffmpeg, and can run again', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments, merge } = await rig.split(order);
    for (const task of segments) {
      const stop = new AbortController();
      const progress = (frames: number): void => {
        if (frames === 7) stop.abort(new Error('taken away'));
      };
      await expect(rig.do(task, order, { signal: stop.signal, progress })).rejects.toThrow('taken away');
      expect(left().filter((name) => name.endsWith('.jsonl') || name.endsWith('.tmp'))).toEqual([]);
      await waitFor('ffmpeg to be gone', () => rig.runtime.childPids.length === 0);
    }
    for (const task of segments) await rig.do(task, order);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
  });

  it('that was aborted before its start does nothing', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments, merge } = await rig.split(order);
    for (const task of segments.slice(1)) await rig.do(task, order);
    const signal = AbortSignal.abort(new Error('closing'));
    await expect(rig.do(segments[0]!, order, { signal })).rejects.toThrow('closing');
    await rig.do(segments[0]!, order);
    await expect(rig.do(merge, order, { signal })).rejects.toThrow('closing');
    expect(existsSync(join(out, 'reordered.mp4.jsonl'))).toBe(false);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
  });

  it('whose threads die loses nothing', async () => {
    const order = rig.order(clip, { segmentSeconds: 1, track: true, every: 2 });
    const { segments, merge } = await rig.split(order);
    for (const task of segments) {
      let crash: Promise<void> | null = null;
      const progress = (frames: number): void => {
        if (frames === 5) crash = rig.runtime.threads.lanes[0]!.crash();
      };
      await rig.do(task, order, { progress });
      await crash;
    }
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices).toEqual([]);
  });

  it('removes the leftovers of a killed process', async () => {
    const order = rig.order(clip, { segmentSeconds: 1 });
    const { segments, merge } = await rig.split(order);
    for (const task of segments) await rig.do(task, order);
    for (const name of ['0-1.jsonl.5a.tmp', '0-result.5a.tmp'])
      writeFileSync(join(out, '.parts', order.id, name), 'half a li');
    await rig.do(merge, order);
    expect(left()).toEqual(['reordered.mp4.jsonl']);
  });
});

describe('a part', () => {
  const prepared = async (): Promise<{
    order: ReturnType<BulkRig['order']>;
    merge: Task;
    segments: Segment[];
    part: string;
  }> => {
    const order = rig.order(clip, { segmentSeconds: 1, track: true });
    const { segments, merge } = await rig.split(order);
    for (const task of segments) await rig.do(task, order);
    return { order, merge, segments: segments as Segment[], part: join(out, '.parts', order.id, '0-2.jsonl') };
  };

  it('that is missing is named in the error, and nothing is written', async () => {
    const { order, merge, part } = await prepared();
    rmSync(part);
    await expect(rig.do(merge, order)).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringMatching(
        /the result of segment 3 of 5 is missing: expected .*0-2\.jsonl.*same one on every host/,
      ),
    });
    expect(left().filter((name) => !name.includes('-'))).toEqual(['.parts']);
    expect(left().filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.each([
    ['that was changed on disk', (text: string) => text.replace('0.8999', '0.7999')],
    ['that was truncated', (text: string) => text.slice(0, -30)],
    ['that is empty', () => ''],
  ])('%s is detected, and the file is inferred as a whole', async (_, damage) => {
    const { order, merge, part } = await prepared();
    const text = readFileSync(part, 'utf8');
    const damaged = damage(text);
    expect(damaged).not.toBe(text);
    writeFileSync(part, damaged);
    const { frames } = await rig.do(merge, order);
    expect(frames).toBe(120);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices).toEqual([expect.stringMatching(/0-2\.jsonl is damaged.*inferred as a whole/)]);
    expect(left()).toEqual(['reordered.mp4.jsonl']);
  });

  it('of another version of the input is not joined, and the file is inferred as a whole', async () => {
    const { order, merge, segments, part } = await prepared();
    utimesSync(clip, new Date(), new Date('2020-01-01'));
    rmSync(part);
    await rig.do(segments[2]!, order);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices[0]).toMatch(/does not fit/);
  });

  it('of another plan is not joined, and the file is inferred as a whole', async () => {
    const { order, merge, segments, part } = await prepared();
    rmSync(part);
    const { span } = segments[2]!;
    const longer = { ...span, toUs: span.toUs! + 1_000_000, frames: span.frames! + 25 };
    await rig.do({ ...segments[2]!, span: longer }, order);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices[0]).toMatch(/does not fit/);
  });
});

describe.skipIf(disk === null)('a full disk (needs to mount a small disk)', () => {
  it('makes a segment and the merge fail; each leaves nothing and succeeds once there is space', async () => {
    const order = rig.order(clip, { segmentSeconds: 0, track: true, outDir: join(disk!.path, 'out') });
    const files = (): string[] =>
      readdirSync(disk!.path, { recursive: true })
        .map(String)
        .filter((name) => /jsonl|tmp/.test(name));
    const { segments, merge } = await rig.split(order);
    const full = { code: 'SINK_FAILED', message: expect.stringMatching(/no space is left on the disk/) };
    await expect(rig.do(segments[0]!, order)).rejects.toMatchObject(full);
    expect(files()).toEqual([]);
    disk!.grow(24);
    await rig.do(segments[0]!, order);
    const [part] = files();
    await expect(rig.do(merge, order)).rejects.toMatchObject(full);
    expect(files()).toEqual([part]);
    disk!.grow(1024);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
  });
});

describe('a segment that does not match the index', () => {
  it.each([
    ['has another number of frames', { frames: 24 }, /decoded 25 frames, the index lists 24/],
    ['does not begin at a frame', { fromUs: 2_010_000 }, /the segment begins at 2010000 us/],
  ])('because it %s makes the file be inferred as a whole', async (_, change, notice) => {
    const order = rig.order(clip, { segmentSeconds: 1, track: true });
    const { segments, merge } = await rig.split(order);
    const wrong = segments.map((task, i) =>
      i === 2 && task.kind === 'segment' ? { ...task, span: { ...task.span, ...change } } : task,
    );
    for (const task of wrong) await rig.do(task, order);
    // Later segments are not even started.
    expect(left().filter((name) => name.endsWith('.jsonl'))).toHaveLength(2);
    await rig.do(merge, order);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices).toEqual([expect.stringMatching(notice)]);
    expect(left()).toEqual(['reordered.mp4.jsonl']);
  });

  it('because the file is damaged makes the file be inferred as a whole', async () => {
    const path = join(clips.path, 'damaged.mp4');
    const bytes = readFileSync(clip);
    for (let i = 0; i < 40; i++) bytes[Math.floor(bytes.length * 0.5) + i * 97] = 0xff;
    writeFileSync(path, bytes);
    const order = rig.order(path, { segmentSeconds: 1, track: true });
    expect(await rig.run(order)).toBeGreaterThan(1);
    expect(rig.result(order)).toBe(await rig.detect(order));
    expect(rig.notices.join()).toMatch(/decoding errors|decoded \d+ frames/);
  });
});

describe('bulk work beside live streams', () => {
  it('is not published, runs at low priority, and lowers the priority of its ffmpeg', async () => {
    // A separate rig: aborted tasks of an earlier test may still be ending on the shared one.
    const own = await BulkRig.open({ root: clips.path });
    const order = own.order(clip, { segmentSeconds: 1 });
    const { segments } = await own.split(order);
    const published: string[] = [];
    const stop = own.runtime.published.add(({ streamId }) => published.push(streamId));
    const niceness = new Set<number>();
    const priorities = new Set<number>();
    const progress = (): void => {
      // ffmpeg may have decoded the last frame and exited.
      for (const pid of own.runtime.childPids) if (isAlive(pid)) niceness.add(getPriority(pid));
      for (const stream of own.runtime.report().streams) priorities.add(stream.priority);
    };
    await own.do(segments[0]!, order, { progress });
    stop();
    await own.close();
    expect(published).toEqual([]);
    expect([...niceness]).toEqual([10]);
    expect([...priorities]).toEqual([-101]);
  });

  it('runs the earlier of two segments first, and has frames of the later ready when it ends', async () => {
    // Slow enough that a busy machine decodes in time: a segment without a ready frame rightly loses its turn.
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { frameMs: 60 } };
    const own = await BulkRig.open({ root: clips.path, model });
    const order = own.order(clip, { segmentSeconds: 1 });
    const [first, second] = (await own.split(order)).segments as [Task, Task];
    const done = [0, 0];
    const count = (i: number) => ({
      progress: (frames: number): void => {
        done[i] = frames;
      },
    });
    const earlier = own.do(first, order, count(0));
    await waitFor('the first to run', () => done[0]! > 0);
    const later = own.do(second, order, count(1));
    const { frames } = await earlier;
    const ahead = done[1]!;
    const ready = own.runtime.report().streams.map(({ queueDepth }) => queueDepth);
    const { frames: rest } = await later;
    await own.close();
    expect(done).toEqual([frames, rest]);
    // With equal shares it would be nearly all of them.
    expect(ahead).toBeLessThan(rest / 2);
    expect(Math.max(...ready)).toBeGreaterThan(0);
  });

  it('queues no second batch on a thread while live streams run, whose frames would wait for it', async () => {
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { frameMs: 4 } };
    const own = await BulkRig.open({ root: clips.path, model });
    const order = own.order(clip, { segmentSeconds: 1 });
    const { segments } = await own.split(order);
    let most = 0;
    const progress = (): void => {
      for (const { batchesInFlight } of own.runtime.threads.inference) most = Math.max(most, batchesInFlight);
    };
    await own.do(segments[0]!, order, { progress });
    const alone = most;
    const config = parseStream({ id: 'live', source: 'synthetic:testsrc2=size=64x36:rate=25', realtime: true }, {});
    const stream = own.runtime.add(config, await resolveStreamInput(config, testFfmpeg, null, own.runtime.spec));
    await waitFor('the live stream to run', () => stream.state === 'running');
    most = 0;
    await own.do(segments[1]!, order, { progress });
    await own.close();
    expect([alone, most]).toEqual([2, 1]);
  });

  it('that is stopped with the runtime fails retryably and leaves no files', async () => {
    const own = await BulkRig.open({ root: clips.path });
    const order = own.order(clip, { segmentSeconds: 1 });
    const { segments } = await own.split(order);
    let stopping: Promise<void> | null = null;
    const progress = (): void => {
      stopping ??= own.close();
    };
    await expect(own.do(segments[0]!, order, { progress })).rejects.toMatchObject({ code: 'LANE_FAILED' });
    await stopping;
    expect(left().filter((name) => name.endsWith('.jsonl') || name.endsWith('.tmp'))).toEqual([]);
  });
});
