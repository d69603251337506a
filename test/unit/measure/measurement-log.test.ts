import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configHash, MeasurementLog } from '../../../src/measure/measurement-log.ts';

interface Config {
  readonly model: string;
  readonly threads: number;
}
interface Result {
  readonly fps: number;
}

const MACHINE = { cpuModel: 'c', cores: 2, memoryBytes: 1, system: 's', versions: { node: 'v20' } };

function record(configuration: Config, fps: number | null = 10, kind: 'trial' | 'confirm' = 'trial') {
  return {
    ...{ kind, modelHash: null, configuration, scenario: 'offline', startedAt: '2026-01-01T00:00:00.000Z', seconds: 3 },
    ...{ machine: MACHINE, result: fps === null ? null : { fps }, error: fps === null ? 'no engine' : null },
  };
}

describe('the log of measurements', () => {
  let folder: string;
  let path: string;
  const open = (resume: boolean) => MeasurementLog.open<Config, Result>(path, { resume });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-log-'));
    path = join(folder, 'new', 'measurements.jsonl');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

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
