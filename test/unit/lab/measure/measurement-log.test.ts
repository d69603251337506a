import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configHash, type LogOptions, MeasurementLog } from '../../../../src/lab/measure/measurement-log.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';

interface Config {
  readonly model: string;
  readonly threads: number;
}
interface Result {
  readonly fps: number;
}

const MACHINE = { cpuModel: 'c', cores: 2, memoryBytes: 1, system: 's', gpus: [], versions: { node: 'v20' } };

function record(configuration: Config, fps: number | null = 10, kind: 'trial' | 'confirm' = 'trial') {
  return {
    kind,
    modelHash: null,
    configuration,
    scenario: 'offline',
    startedAt: '2026-01-01T00:00:00.000Z',
    seconds: 3,
    machine: MACHINE,
    dependsOn: {},
    result: fps === null ? null : { fps },
    error: fps === null ? 'no engine' : null,
  };
}

describe('the log of measurements', () => {
  let folder: string;
  let path: string;
  let opened: MeasurementLog<Config, Result> | null;

  /** Opens the log as the next run does, after the one before has ended. */
  async function open(resume: boolean, dependsOn: LogOptions['dependsOn'] = () => ({ recording: 'r' })) {
    await opened?.close();
    opened = null;
    opened = await MeasurementLog.open<Config, Result>(path, { resume, dependsOn });
    return opened;
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-log-'));
    path = join(folder, 'new', 'measurements.jsonl');
    opened = null;
  });

  afterEach(async () => {
    await opened?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is refused where its folder is a file', async () => {
    writeFileSync(join(folder, 'new'), '');
    await expect(open(false)).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('a file, not'),
    });
  });

  it('says that the disk is full, and where', async ({ skip }) => {
    const disk = mountSmallDisk(join(folder, 'small'), 16);
    if (disk === null) return skip('no disk can be mounted here');
    try {
      path = join(disk.path, 'measurements.jsonl');
      const log = await open(false);
      writeFileSync(join(disk.path, 'filler'), Buffer.alloc(8192));
      const long = { ...record({ model: 'a'.repeat(8000), threads: 1 }) };
      await expect(log.add(long)).rejects.toMatchObject({
        code: 'SINK_FAILED',
        message: expect.stringMatching(/measurements\.jsonl: .*the disk is full/),
      });
      await opened?.close();
      opened = null;
    } finally {
      disk.remove();
    }
  });

  it('numbers measurements, and writes each as one line at once', async () => {
    const log = await open(false);
    const first = await log.add(record({ model: 'a', threads: 1 }));
    await Promise.all([log.add(record({ model: 'b', threads: 1 })), log.add(record({ model: 'c', threads: 1 }))]);
    expect(first.id).toBe('m001');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).id)).toEqual(['m001', 'm002', 'm003']);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      machine: MACHINE,
      result: { fps: 10 },
      configHash: first.configHash,
    });
  });

  it('a resumed run finds what was measured, by configuration, scenario and kind', async () => {
    const log = await open(false);
    await log.add(record({ model: 'a', threads: 1 }, 10));
    await log.add(record({ model: 'a', threads: 1 }, 11));
    await log.add(record({ model: 'a', threads: 2 }, 12, 'confirm'));
    const resumed = await open(true);
    // The order of the keys makes no difference; the newest counts.
    expect(resumed.find('trial', { threads: 1, model: 'a' }, 'offline')?.id).toBe('m002');
    expect(resumed.find('confirm', { model: 'a', threads: 2 }, 'offline')?.result).toEqual({ fps: 12 });
    expect(resumed.find('trial', { model: 'a', threads: 2 }, 'offline')).toBeNull();
    expect(resumed.find('trial', { model: 'a', threads: 1 }, 'cameras x2')).toBeNull();
    expect((await resumed.add(record({ model: 'd', threads: 1 }))).id).toBe('m004');
  });

  it('a failed measurement is kept and not found', async () => {
    const log = await open(false);
    await log.add(record({ model: 'a', threads: 1 }, null));
    expect(log.find('trial', { model: 'a', threads: 1 }, 'offline')).toBeNull();
    expect((await open(true)).records).toHaveLength(1);
  });

  it('a torn last line is ignored, and the next one does not continue it', async () => {
    const log = await open(false);
    await log.add(record({ model: 'a', threads: 1 }));
    appendFileSync(path, '{"id":"m002","kind":"tri');
    const resumed = await open(true);
    expect(resumed.records).toHaveLength(1);
    await resumed.add(record({ model: 'ü', threads: 1 }));
    const again = await open(true);
    expect(again.records.map(({ id, configuration }) => [id, configuration.model])).toEqual([
      ['m001', 'a'],
      ['m002', 'ü'],
    ]);
  });

  it('a complete line that is no measurement is an error that names it', async () => {
    const log = await open(false);
    await log.add(record({ model: 'a', threads: 1 }));
    appendFileSync(path, '{"id":"x"}\n');
    await expect(open(true)).rejects.toThrow(/line 2: expected a measurement, received/);
  });

  it('what was measured with another recording is left aside, counted and kept in the file', async () => {
    const log = await open(false, () => ({ recording: 'a', machine: 'x' }));
    await log.add(record({ model: 'a', threads: 1 }));
    await log.add(record({ model: 'b', threads: 1 }));
    const other = await open(true, () => ({ recording: 'b', machine: 'x' }));
    expect(other.records).toEqual([]);
    expect(other.find('trial', { model: 'a', threads: 1 }, 'offline')).toBeNull();
    expect(other.leftAside).toEqual({ count: 2, of: 2, because: { recording: 2 } });
    // Ids go on behind those that are left aside.
    expect((await other.add(record({ model: 'a', threads: 1 }, 20))).id).toBe('m003');
    const back = await open(true, () => ({ recording: 'a', machine: 'x' }));
    expect(back.records.map(({ id }) => id)).toEqual(['m001', 'm002']);
    expect(back.leftAside).toEqual({ count: 1, of: 3, because: { recording: 1 } });
    expect((await back.add(record({ model: 'c', threads: 1 }))).id).toBe('m004');
  });

  it('a record may differ in several things, and each kind depends on its own', async () => {
    const log = await open(false, (kind) => ({ machine: 'x', ...(kind === 'confirm' ? { labels: '1' } : {}) }));
    await log.add(record({ model: 'a', threads: 1 }, 10, 'trial'));
    await log.add(record({ model: 'a', threads: 1 }, 10, 'confirm'));
    const labels = await open(true, (kind) => ({ machine: 'x', ...(kind === 'confirm' ? { labels: '2' } : {}) }));
    expect(labels.records.map(({ kind }) => kind)).toEqual(['trial']);
    const both = await open(true, (kind) => ({ machine: 'y', ...(kind === 'confirm' ? { labels: '2' } : {}) }));
    expect(both.leftAside).toEqual({ count: 2, of: 2, because: { machine: 2, labels: 1 } });
  });

  it('a record from before records named what they depend on is left aside', async () => {
    await open(false);
    const { dependsOn: _, ...old } = record({ model: 'a', threads: 1 });
    appendFileSync(path, `${JSON.stringify({ id: 'm089', configHash: 'x', ...old })}\n`.repeat(2));
    const log = await open(true);
    expect(log.leftAside).toMatchObject({ count: 2 });
    expect((await log.add(record({ model: 'a', threads: 1 }))).id).toBe('m090');
  });

  it('a measurement of another compiled model is not found', async () => {
    const log = await open(false);
    const configuration = { model: 'a', threads: 1 };
    await log.add({ ...record(configuration), dependsOn: { model: '1' } });
    expect(log.findAll('trial', configuration, 'offline', { model: '2' })).toEqual([]);
    expect(log.findAll('trial', configuration, 'offline', { model: '1' })).toHaveLength(1);
    expect(log.findAll('trial', configuration, 'offline')).toHaveLength(1);
  });

  it('a second run in the same folder is refused and destroys nothing', async () => {
    const log = await open(false);
    await log.add(record({ model: 'a', threads: 1 }));
    for (const resume of [true, false]) {
      const second = MeasurementLog.open(path, { resume, dependsOn: () => ({}) });
      await expect(second).rejects.toMatchObject({
        code: 'COMMAND_INVALID',
        message: expect.stringMatching(/process \d+ on .* writes its measurements there; wait until it ends/),
      });
    }
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(1);
    expect((await open(true)).records).toHaveLength(1);
  });

  it('the lock of a process that was killed does not hold', async () => {
    const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await open(false);
    await opened!.close();
    opened = null;
    // What a run that is killed with SIGKILL leaves behind: its lock, with its identity.
    const log = await MeasurementLog.open(path, { resume: true, dependsOn: () => ({}) });
    const lock = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as Record<string, unknown>;
    await log.close();
    const started = readFileSync(`/proc/${holder.pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[19];
    writeFileSync(`${path}.lock`, JSON.stringify({ ...lock, pid: holder.pid, started }));
    await expect(MeasurementLog.open(path, { resume: true, dependsOn: () => ({}) })).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
    });
    const ended = once(holder, 'exit');
    holder.kill('SIGKILL');
    await ended;
    expect((await open(true)).records).toEqual([]);
  });

  it('a new run starts with an empty file', async () => {
    await (await open(false)).add(record({ model: 'a', threads: 1 }));
    expect((await open(false)).records).toEqual([]);
    expect(readFileSync(path, 'utf8')).toBe('');
    writeFileSync(path, '');
    expect((await open(true)).records).toEqual([]);
  });
});

describe('the hash of a configuration', () => {
  it('is the sha256 of its canonical JSON', () => {
    // printf '{"a":[1,{"b":null}],"c":"x"}' | sha256sum
    expect(configHash({ c: 'x', a: [1, { b: null }] })).toBe(
      'e478500dd93008fb766c97bca4c617ba1311f5b8dc520b2abb8860bb8ac39234',
    );
  });

  it('differs with every value, and not with keys that are undefined', () => {
    expect(configHash({ a: 1 })).not.toBe(configHash({ a: '1' }));
    expect(configHash({ a: 1, b: undefined })).toBe(configHash({ a: 1 }));
  });
});
