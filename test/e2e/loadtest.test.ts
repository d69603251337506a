import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadResult } from '../../src/lab/loadtest/load-result.ts';
import { cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { hasProc } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

const SMALL = ['--camera-fps', '10', '--camera-size', '160x96'];

describe('sightline loadtest', () => {
  const folder = temporaryFolder();
  const pipeline = join(folder.path, 'gate.yaml');

  beforeAll(() => {
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { callMs: 5 } };
    const streams = [{ id: 'gate', source: 'synthetic:testsrc2=size=160x96:rate=10' }];
    const text = { name: 'gate', description: 'A gate.', model, lanes: 1, batch: { maxBatch: 1 }, streams };
    writeFileSync(pipeline, JSON.stringify(text));
  });

  afterAll(() => folder.remove());

  it.each([
    [[], 'expected a pipeline file, or --fleet'],
    [['PIPELINE', '--fleet'], '--fleet: expected no pipeline'],
    [['PIPELINE', '--token', 'x'], '--token: expected no token on the command line'],
    [['PIPELINE', '--token-file', 'x'], '--token-file: only valid with --fleet'],
    [['PIPELINE', '--cameras', '0'], '--cameras: expected a whole number from 1 to 1024'],
    [['PIPELINE', '--cameras', 'many'], '--cameras: expected a whole number'],
    [['PIPELINE', '--minutes', '0'], '--minutes: expected a number above 0'],
    [['PIPELINE', '--target', 'p98<=5ms'], 'p98<=5ms'],
    [['PIPELINE', '--camera-size', '7x7'], '--camera-size: expected even numbers'],
    [['PIPELINE', '--profile', 'holiday'], 'baseline, peak, stress, endurance'],
    [['PIPELINE', '--protocol', 'ftp'], 'http, rtsp, file'],
    [['--url', 'ftp://host'], '--url: expected an address such as'],
    [['/no/such.yaml'], 'no such file'],
  ])('%j is refused', async (args, message) => {
    const { code, stderr, stdout } = await cliHere([
      'loadtest',
      ...args.map((arg) => (arg === 'PIPELINE' ? pipeline : arg)),
    ]);
    expect(code).toBe(2);
    expect(stderr.replaceAll(/\s+/g, ' ')).toContain(message);
    expect(stdout).toBe('');
  });

  it('exits with 0 if the targets are met; --json prints one document, --report writes three files', async () => {
    const report = join(folder.path, 'report');
    const flags = [
      '--cameras',
      '2',
      '--minutes',
      '0.1',
      '--target',
      'p50<=2s,drops<=50%',
      '--report',
      report,
      '--json',
    ];
    const { code, stdout, stderr } = await cli(['loadtest', pipeline, ...flags, ...SMALL]);
    expect(code, stderr).toBe(0);
    const result = JSON.parse(stdout) as LoadResult;
    expect(result).toMatchObject({
      profile: 'baseline',
      subject: pipeline,
      verdict: 'met',
      breakPoint: null,
      recoverySeconds: null,
      slopes: [],
      targets: [
        { target: 'p50<=2000ms', state: 'met' },
        { target: 'drops<=50%', state: 'met' },
      ],
      cameras: { count: 2, protocol: 'http' },
    });
    expect(result.cameras.cpuCores).toBeGreaterThan(0);
    expect(JSON.parse(readFileSync(join(report, 'loadtest.json'), 'utf8'))).toEqual(result);
    expect(readFileSync(join(report, 'loadtest.html'), 'utf8')).toContain('<h1>Load test: met</h1>');
  });

  it('exits with 3 if a target is missed, or not proven; the text names it', async () => {
    const flags = ['--cameras', '1', '--minutes', '0.06', '--target', 'p99<=30s', '--protocol', 'rtsp'];
    const { code, stdout } = await cli(['loadtest', pipeline, ...flags, ...SMALL]);
    expect(code).toBe(3);
    expect(stdout).toMatch(
      /verdict: not enough frames \(p99<=30000ms: 0 of \d+ frames took longer; 459 frames are needed/,
    );
    const missed = await cli(['loadtest', pipeline, '--minutes', '0.06', '--target', 'fps>=1,cpu<=0%', ...SMALL]);
    if (hasProc) expect(missed.stdout).toContain('verdict: missed');
    expect(missed.code).toBe(3);
  });

  it('says that no gateway answers', async () => {
    const { code, stderr } = await cliHere(['loadtest', '--url', 'http://127.0.0.1:9']);
    expect(code).toBe(1);
    expect(stderr).toContain('GATEWAY_UNREACHABLE');
  });

  it('--fleet: loads a running gateway with streams of its own, removes them, and those of a killed run', async () => {
    const gateway = new PipelineProcess(pipeline);
    try {
      const url = await address(gateway);
      const ids = async (): Promise<string[]> => {
        const { streams } = (await (await fetch(`${url}/api/streams`)).json()) as { streams: { id: string }[] };
        return streams.map(({ id }) => id).sort();
      };
      const flags = ['loadtest', '--fleet', '--url', url, '--cameras', '2', ...SMALL];

      const killed = startCli([...flags, '--minutes', '10']);
      const end = ended(killed);
      await waitFor('its streams', async () => (await ids()).length === 3, { deadlineMs: 60_000 });
      killed.kill('SIGKILL');
      await end;
      const left = (await ids()).filter((id) => id.startsWith('loadtest-'));
      expect(left).toHaveLength(2);

      const next = await cli([...flags, '--minutes', '0.2', '--target', 'drops<=90%', '--json']);
      expect(next.code, next.stderr).toBe(0);
      expect(next.stderr).toContain('removing 2 streams that a load test left behind');
      const result = JSON.parse(next.stdout) as LoadResult;
      expect(result).toMatchObject({ subject: url, verdict: 'met', cameras: { count: 2 } });
      expect(result.steps[0]!.frames).toBeGreaterThan(20);
      expect(await ids()).toEqual(['gate']);

      const stopped = startCli([...flags, '--minutes', '10']);
      const stop = ended(stopped);
      await waitFor('its streams', async () => (await ids()).length === 3, { deadlineMs: 60_000 });
      stopped.kill('SIGTERM');
      expect(await stop).toMatchObject({ code: 1, stderr: expect.stringContaining('its streams are removed') });
      expect(await ids()).toEqual(['gate']);
    } finally {
      await gateway.stop();
    }
  }, 240_000);
});

/** Waits until a pipeline serves. */
async function address(gateway: PipelineProcess): Promise<string> {
  const find = (): string | undefined => /live at (http:\/\/[^\s/]+)/.exec(gateway.log)?.[1];
  await waitFor(
    'the gateway',
    () => find() !== undefined,
    { deadlineMs: 30_000 },
    () => gateway.log,
  );
  return find()!;
}
