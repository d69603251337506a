import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AtomicFile } from '../../../../../src/fleet/control/jobs/atomic-file.ts';
import { JobPlace } from '../../../../../src/fleet/control/jobs/job-place.ts';
import { SegmentReader } from '../../../../../src/fleet/control/jobs/segment-file.ts';
import { openMemoryControlPlane } from '../../../../../src/fleet/control/memory/memory-control-plane.ts';
import { Admission } from '../../../../../src/fleet/control/orders/admission.ts';
import { JobOrders } from '../../../../../src/fleet/control/orders/job-orders.ts';
import { type JobOrder, jobOrder } from '../../../../../src/wire/protocol/fleet.ts';
import { makePipe } from '../../../../support/made-pipe.ts';
import { jobOrderOf } from '../../../../support/task-handlers.ts';

const KEY = '0123456789abcdef0123456789abcdef';
let folder: string;
let out: string;
let foreign: string;
let order: JobOrder;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-segments-')));
  out = join(folder, 'root/sy');
  foreign = join(folder, 'private');
  for (const path of [out, foreign]) mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'root/a.mp4'), '');
  // Names that a job uses for its own files.
  for (const name of ['0-0.jsonl', '0.whole', '0-letters.txt']) writeFileSync(join(foreign, name), 'foreign');
  order = { ...jobOrderOf('job', 1), inputs: [join(folder, 'root/a.mp4')], outDir: out, partsKey: KEY };
});
afterEach(() => rmSync(folder, { recursive: true }));

function place(): Promise<JobPlace> {
  return JobPlace.find(new Admission({ roots: [join(folder, 'root')], schemes: [], networks: [] }), order, 0);
}

function expectForeignUntouched(): void {
  expect(readdirSync(foreign).sort()).toEqual(['0-0.jsonl', '0-letters.txt', '0.whole']);
  for (const name of readdirSync(foreign)) expect(readFileSync(join(foreign, name), 'utf8')).toBe('foreign');
}

const REFUSED = { code: 'SINK_FAILED', message: expect.stringMatching(/expected a folder of this job, found a link/) };

describe.each([
  ['.parts', () => '.parts'],
  ['the folder of a job', () => join('.parts', KEY)],
])('%s that is a link', (_, name) => {
  const link = (): void => {
    mkdirSync(join(out, name(), '..'), { recursive: true });
    mkdirSync(join(foreign, 'x'), { recursive: true });
    rmSync(join(foreign, 'x'), { recursive: true });
    symlinkSync(foreign, join(out, name()));
    // For the outer link: the job's folder inside.
    if (name() === '.parts') symlinkSync('.', join(foreign, KEY));
  };
  afterEach(() => {
    rmSync(join(foreign, KEY), { force: true });
    expectForeignUntouched();
  });

  it('is not written through', async () => {
    link();
    const { folder: results, resultPath, resultStem } = await place();
    await expect(AtomicFile.create('job', resultPath, resultStem, results)).rejects.toMatchObject(REFUSED);
    await expect((await place()).markWhole('because')).rejects.toMatchObject(REFUSED);
  });

  it('is not deleted through', async () => {
    link();
    await expect((await place()).clear()).rejects.toMatchObject(REFUSED);
  });

  it('says nothing about what was done', async () => {
    link();
    await expect((await place()).isMerged()).rejects.toMatchObject(REFUSED);
    await expect((await place()).isMarkedWhole()).rejects.toMatchObject(REFUSED);
  });

  it('that takes the place of the folder while a file is written ends the file, and nothing appears elsewhere', async () => {
    const { folder: results, resultPath, resultStem } = await place();
    const file = await AtomicFile.create('job', resultPath, resultStem, results);
    file.write('a line\n');
    renameSync(join(out, name()), join(out, 'aside'));
    link();
    await expect(file.commit()).rejects.toMatchObject(REFUSED);
    expect(existsSync(resultPath)).toBe(false);
  });
});

describe('the output folder', () => {
  it('that is exchanged for a link out of the roots is not used', async () => {
    const own = await place();
    const file = await AtomicFile.create('job', own.resultPath, own.resultStem, own.folder);
    renameSync(out, `${out}-aside`);
    symlinkSync(foreign, out);
    await expect(file.commit()).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    await expect(own.clear()).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    expectForeignUntouched();
  });

  it('that is exchanged for a link inside of the roots is not used either', async () => {
    const own = await place();
    renameSync(out, `${out}-aside`);
    symlinkSync(`${out}-aside`, out);
    await expect(own.markWhole('because')).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });
});

describe('files of a job', () => {
  it('are made, found and deleted with their folders', async () => {
    const own = await place();
    await own.markWhole('because');
    writeFileSync(own.segmentPath(0), 'a result');
    expect(await own.isMarkedWhole()).toBe(true);
    await own.clear();
    expect(readdirSync(out)).toEqual([]);
  });

  it('that are links are deleted themselves, not what they lead to', async () => {
    const own = await place();
    await own.markWhole('because');
    symlinkSync(join(foreign, '0-letters.txt'), join(own.folder.path, '0-1.jsonl'));
    mkdirSync(join(own.folder.path, '0-folder'));
    await own.clear();
    expect(readdirSync(own.folder.path)).toEqual(['0-folder']);
    expectForeignUntouched();
  });

  it('are no longer merged if the result is a link', async () => {
    const own = await place();
    symlinkSync(join(foreign, '0-letters.txt'), own.resultPath);
    expect(await own.isMerged()).toBe(false);
    expect(lstatSync(own.resultPath).isSymbolicLink()).toBe(true);
  });

  it.each([
    ['a FIFO', (path: string) => makePipe(path)],
    ['a link to a file elsewhere', (path: string) => symlinkSync(join(foreign, '0-0.jsonl'), path)],
    ['a line without end', (path: string) => writeFileSync(path, Buffer.alloc(40 * 2 ** 20, 'x'))],
  ])('a segment result that is %s counts as damaged', async (_, make) => {
    const own = await place();
    await own.folder.make();
    make(own.segmentPath(0));
    await expect(SegmentReader.open(own.segmentPath(0))).rejects.toMatchObject({ code: 'SEGMENT_MISMATCH' });
  });
});

describe('the name of the folder', () => {
  it('is random, not the id that a user chose, and survives the queue', async () => {
    const control = openMemoryControlPlane({ leaseMs: 5000 });
    const orders = new JobOrders({ control, pipeline: 'p', admit: () => undefined });
    const request = { id: 'chosen', inputs: order.inputs, outDir: out };
    const submitted = await orders.submit(request, 'job');
    const other = await orders.submit({ ...request, id: 'other' }, 'job');
    expect(submitted.partsKey).toMatch(/^[0-9a-f]{32}$/);
    expect(other.partsKey).not.toBe(submitted.partsKey);
    expect(jobOrder.parse(JSON.parse(JSON.stringify(submitted)))).toEqual(submitted);
    order = submitted;
    expect((await place()).folder.path).toBe(join(out, '.parts', submitted.partsKey!));
    // The same order again is the same job, with the folder of the first.
    await orders.submit(request, 'job');
    expect((await control.tasks.job('chosen')).order.partsKey).toBe(submitted.partsKey);
    await control.close();
  });

  it.each(['../../private', '/etc', 'x', ''])('cannot be chosen in a record: %j', (partsKey) => {
    expect(jobOrder.safeParse({ ...order, partsKey }).success).toBe(false);
  });
});
