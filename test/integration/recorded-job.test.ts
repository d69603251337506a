import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Archive } from '../../src/after/recording/archive.ts';
import { readIndex } from '../../src/after/recording/fragment-file.ts';
import { readSpan } from '../../src/after/recording/recorded-span.ts';
import { recordingsIn } from '../../src/after/recording/spans.ts';
import { RecordedInput } from '../../src/fleet/control/jobs/recorded-input.ts';
import type { ResultRecord } from '../../src/wire/protocol/result-record.ts';
import { BulkRig } from '../support/bulk-rig.ts';
import { cliHere } from '../support/cli-here.ts';
import { recorderRig, T0_MS } from '../support/recorder-rig.ts';

const rig = recorderRig();
let bulk: BulkRig;
let input: string;
let folder: string;

beforeAll(async () => {
  bulk = await BulkRig.open({ root: rig.root });
  folder = await rig.recordedWithGap(70, 4_000_000, 20);
  input = await list('cam.recorded.json');
});
afterAll(() => bulk.close());

/** Lists all that is recorded. */
async function list(name: string): Promise<string> {
  const span = { fromMs: T0_MS, toMs: T0_MS + 3_600_000 };
  const { parts } = await readSpan(recordingsIn((await Archive.read(folder)).files, span), span);
  writeFileSync(join(rig.root, name), JSON.stringify(parts[0]));
  return join(rig.root, name);
}

const lines = (text: string): ResultRecord[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ResultRecord);

describe('a job over a recorded span', () => {
  it.each([
    { track: false, every: 1 },
    { track: true, every: 3 },
  ])('in segments gives byte for byte what it gives in one piece: %j', async (settings) => {
    const outs = [join(rig.root, 'cut'), join(rig.root, 'whole')] as const;
    const cut = bulk.order(input, { ...settings, segmentSeconds: 10, outDir: outs[0] });
    expect(await bulk.run(cut)).toBe(3);
    const whole = bulk.order(input, { ...settings, segmentSeconds: 0, outDir: outs[1] });
    expect(await bulk.run(whole)).toBe(1);
    expect(bulk.result(cut)).toBe(bulk.result(whole));
    expect(bulk.notices).toEqual([]);
    const results = lines(bulk.result(cut));
    const files = recordingsIn((await Archive.read(folder)).files, {});
    const indices = await Promise.all(files.map(({ path }) => readIndex(path)));
    const frames = indices.flatMap(({ fragments }) => fragments).reduce((sum, fragment) => sum + fragment.frames, 0);
    expect(results).toHaveLength(Math.ceil(frames / settings.every));
    expect(new Set(results.map(({ stream }) => stream))).toEqual(new Set(['cam']));
    // The wall clock of its frames is that of the media time of then, over the gap too.
    for (const { ptsUs, capturedAt, captureClock } of results) {
      const wallMs = T0_MS + Math.round((ptsUs - results[0]!.ptsUs) / 1000);
      expect([Date.parse(capturedAt!), captureClock]).toEqual([wallMs, 'arrival']);
    }
    const steps = results.map(({ ptsUs }, i) => ptsUs - (results[i - 1]?.ptsUs ?? ptsUs));
    expect(steps.filter((us) => us > 200_000)).toHaveLength(1);
  });

  it('leaves out what is damaged, says so, and is the same in one piece', async () => {
    const { path } = recordingsIn((await Archive.read(folder)).files, {})[1]!;
    const bytes = readFileSync(path);
    const { fragments } = await readIndex(path);
    const damaged = Buffer.from(bytes);
    damaged[fragments.at(-1)!.at + fragments.at(-1)!.bytes - 5]! ^= 0xff;
    writeFileSync(path, damaged);
    try {
      const order = bulk.order(input, { segmentSeconds: 10, outDir: join(rig.root, 'damaged') });
      await bulk.run(order);
      expect(bulk.notices.join('\n')).toMatch(/the recording of cam at 2026-01-31T00:01:\S+ is damaged/);
      const whole = lines(readFileSync(join(rig.root, 'cut', `${basename(input)}.jsonl`), 'utf8'));
      expect(whole.length / 3).toBeLessThan(lines(bulk.result(order)).length);
    } finally {
      writeFileSync(path, bytes);
      bulk.notices.length = 0;
    }
  });

  it('fails where a recording is gone, is not below a root, or is no list', async () => {
    const order = (path: string) => bulk.order(path, { outDir: join(rig.root, 'bad') });
    const run = (path: string) => bulk.run(order(path));
    const listed = JSON.parse(readFileSync(input, 'utf8')) as { files: { path: string }[] };
    const bad = (name: string, content: unknown): string => {
      const path = join(rig.root, `${name}.recorded.json`);
      writeFileSync(path, JSON.stringify(content));
      return path;
    };
    const moved = (path: string) => ({ ...listed, files: listed.files.map((file) => ({ ...file, path })) });
    await expect(run(bad('gone', moved(join(folder, 'cam', '1-2-continuous.mp4'))))).rejects.toThrow('no such file');
    await expect(run(bad('outside', moved('/etc/passwd')))).rejects.toThrow('allowed are files below');
    await expect(run(bad('other', { files: [] }))).rejects.toThrow('expected a list of recordings');
  });
});

describe('sightline submit --recorded', () => {
  it('lists what is recorded, a list for each day, with its gaps', async () => {
    const out = join(rig.root, 'submitted');
    const args = ['submit', folder, '--recorded', 'cam', '--out', out, '--redis', 'redis://127.0.0.1:1'];
    const span = ['--from', '2026-01-31T00:00:10Z', '--to', '2026-01-31T00:05:00Z'];
    const { code, stderr } = await cliHere([...args, ...span]);
    // There is no fleet here.
    expect(code).toBe(1);
    expect(stderr).toMatch(/gap \S+ to \S+: reconnect\ngap \S+ to 2026-01-31T00:05:00.000Z: end/);
    expect(readdirSync(out)).toEqual(['cam-20260131T000010Z.recorded.json']);
    const recorded = await RecordedInput.open(join(out, readdirSync(out)[0]!));
    expect(recorded!.segments(60).length).toBeGreaterThan(1);
    rmSync(out, { recursive: true });
  });

  it.each([
    [['--recorded', 'cam'], 'expected --from and --to'],
    [['--from', '2026-01-31T00:00:10Z'], 'only valid with --recorded'],
    [['--recorded', 'cam', '--from', '2026-01-31T00:01:00Z', '--to', '2026-01-31T00:00:00Z'], 'before --to'],
    [['--recorded', 'other', '--from', '2026-01-31T00:00:00Z', '--to', '2026-01-31T00:01:00Z'], 'it has cam'],
    [['--recorded', 'cam', '--from', '2026-02-01T00:00:00Z', '--to', '2026-02-02T00:00:00Z'], 'its recordings are of'],
    [['--recorded', 'cam', '--from', 'noon', '--to', '2026-02-02T00:00:00Z'], 'received "noon"'],
  ])('refuses %j', async (flags, said) => {
    mkdirSync(join(rig.root, 'none'), { recursive: true });
    const { code, stderr } = await cliHere(['submit', folder, '--out', join(rig.root, 'none'), ...flags]);
    expect([code === 0, stderr]).toEqual([false, expect.stringContaining(said)]);
    expect(readdirSync(join(rig.root, 'none'))).toEqual([]);
  });
});
