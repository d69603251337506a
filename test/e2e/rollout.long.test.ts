import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

interface Status {
  readonly state: string;
  readonly share: number;
  readonly reason: string;
}

/** Two boxes in every frame: x, y, width, height, score, class. */
const ROWS = [10, 20, 30, 40, 0.9, 0, 100, 50, 60, 80, 0.8, 0];

describe('sightline rollout on a running pipeline', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  let videos: VideoFolder;
  let clip: string;
  let running: PipelineProcess;
  let url: string;

  beforeEach(async () => {
    temporary = temporaryFolder();
    videos = new VideoFolder();
    clip = await videos.make('clip.mp4', { frames: 250, fps: 50 });
    writeFileSync(at('people.yaml'), pipeline(ROWS));
    // A model that finds nothing any more.
    writeFileSync(at('blind.yaml'), pipeline([]));
    await start();
  });

  afterEach(async () => {
    await running.kill();
    temporary.remove();
    videos.remove();
  });

  const at = (name: string): string => join(temporary.path, name);
  const pipeline = (rows: readonly number[], folder = temporary.path): string =>
    JSON.stringify({
      name: 'people',
      description: 'Paced files in place of cameras.',
      model: { engine: 'fake', threads: 1, fake: { callMs: 1, rows } },
      streams: ['a', 'b', 'c', 'd'].map((id) => ({ id, source: clip, loop: true, realtime: true })),
      rollout: { folder },
    });
  const start = async (): Promise<void> => {
    running = new PipelineProcess(at('people.yaml'));
    await waitFor('the address', () => /live at (\S+)/.test(running.log));
    url = /live at (\S+)/.exec(running.log)![1]!;
    await waitFor('four running streams', () => running.log.includes('d is running'), { deadlineMs: 60_000 });
  };
  const rollout = async (...args: string[]): Promise<Status> => {
    const { code, stdout, stderr } = await cli(['rollout', ...args, '--url', url, '--json']);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout) as Status;
  };
  /** What `rollout status` prints. A process for each look would take a core for itself. */
  const status = async (): Promise<Status> => {
    const { rollout } = (await (await fetch(`${url}/api/rollouts`)).json()) as { rollout: Status };
    return rollout;
  };
  const published = async (): Promise<number[]> => {
    const answer = (await (await fetch(`${url}/api/streams`)).json()) as {
      streams: { frames: { published: number } }[];
    };
    return answer.streams.map(({ frames }) => frames.published);
  };

  it('rolls a bad model back by itself, and still knows it after the process was killed', async () => {
    await rollout('start', '--pipeline', at('blind.yaml'), '--steps', '50,100', '--hold', '1s', '--min-frames', '100');
    let seen = await rollout('status');
    let mostShare = 0;
    const hasEnded = async (): Promise<boolean> => {
      seen = await status();
      mostShare = Math.max(mostShare, seen.share);
      return seen.state === 'rolled-back';
    };
    await waitFor('its end', hasEnded, { deadlineMs: 60_000, everyMs: 250 }, () => seen.reason);
    expect(mostShare, 'half of the streams used it for a while').toBe(50);
    expect(seen.reason).toMatch(/agreement|boxes/);
    const before = await published();
    const audit = readdirSync(temporary.path).find((name) => name.endsWith('audit.jsonl'))!;
    const kinds = readFileSync(at(audit), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    const changes = kinds.filter((kind) => kind !== 'held' && kind !== 'resumed');
    expect(changes).toEqual(['started', 'advanced', 'rolled-back']);
    expect(before.every((count) => count > 0)).toBe(true);
    await running.kill();
    await start();
    expect(await rollout('status')).toMatchObject({ state: 'rolled-back', share: 0 });
  }, 200_000);

  it('rolls a slow model of another input size back: it misses a target that the control meets', async () => {
    await running.kill();
    const slow = { engine: 'fake', threads: 1, inputSize: '256x256', fake: { callMs: 150, rows: ROWS } };
    const one = { ...JSON.parse(pipeline(ROWS)), defaults: { target: { fps: 20 } } } as object;
    writeFileSync(at('people.yaml'), JSON.stringify(one));
    writeFileSync(at('slow.yaml'), JSON.stringify({ ...one, model: slow }));
    // The canned boxes lie elsewhere in another input; rate, drops and latency may be found before the target is.
    const others = ['agreement', 'boxes', 'fps', 'drops', 'p99', 'deviceTime'];
    const off = Object.fromEntries(others.map((guard) => [guard, { isOn: false }]));
    // On a busy machine the slow model may have no result for seconds, which alone would end it.
    writeFileSync(at('target.yaml'), JSON.stringify({ ...off, hard: { silenceMs: 120_000 } }));
    await start();
    const steps = ['--steps', '50,100', '--hold', '1s', '--min-frames', '100'];
    await rollout('start', '--pipeline', at('slow.yaml'), ...steps, '--guards', at('target.yaml'));
    let seen = await status();
    const hasEnded = async (): Promise<boolean> => {
      seen = await status();
      return seen.state === 'rolled-back';
    };
    await waitFor('its end', hasEnded, { deadlineMs: 400_000, everyMs: 500 }, () => seen.reason);
    expect(seen.reason).toMatch(/^target: Stream "\w" attains [\d.]+ of 20 frames\/s; its control meets the target/);
  }, 900_000);

  it('a person holds, promotes at once and undoes; no stream stops', async () => {
    writeFileSync(at('second.yaml'), pipeline([...ROWS, 200, 100, 50, 50, 0.7, 0]));
    await rollout('start', '--pipeline', at('second.yaml'), '--steps', '100');
    expect(await rollout('hold')).toMatchObject({ state: 'holding', share: 0 });
    expect(await rollout('promote', '--full')).toMatchObject({ state: 'promoted', share: 100 });
    expect(await rollout('undo')).toMatchObject({ share: 0 });
    const before = await published();
    // Reports are made once a second.
    await waitFor('every stream to go on', async () => (await published()).every((count, i) => count > before[i]!));
  }, 60_000);

  it('a storm of commands and changed cameras breaks no rule, and the roll-out still ends', async () => {
    const ask = async (method: string, path: string, body?: object): Promise<{ code: number; body: unknown }> => {
      const content = body === undefined ? {} : { body: JSON.stringify(body) };
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const response = await fetch(`${url}/api${path}`, { method, headers, ...content });
      return { code: response.status, body: response.status === 204 ? null : await response.json() };
    };
    const { model } = JSON.parse(pipeline([...ROWS.slice(0, 4), 0.91, 0, ...ROWS.slice(6)])) as { model: object };
    // What an equal candidate of the fake engine always has soon.
    const off = ['p99', 'fps', 'drops', 'confidence', 'deviceTime'].map((guard) => [guard, { isOn: false }] as const);
    const request = { settings: { model }, steps: [50, 100], holdMs: 3000, minFrames: 50 };
    const start = { ...request, guards: Object.fromEntries(off) };
    expect((await ask('POST', '/rollouts', start)).code).toBe(201);
    const codes = new Set<number>();
    const isActive = (state: string): boolean => state === 'running' || state === 'holding';
    const storm = async (round: number): Promise<void> => {
      const seen = { rollout: 'rollout-1', step: round % 2 === 0 ? 9 : 0 };
      const answers = await Promise.all([
        ...Array.from({ length: 10 }, () => ask('GET', '/rollouts')),
        ask('POST', '/rollouts', start),
        ask('POST', '/rollouts/promote', seen),
        ask('POST', '/rollouts/hold', {}),
        ask('POST', '/rollouts/resume', {}),
        ask('GET', '/rollouts/history'),
      ]);
      for (const { code } of answers) codes.add(code);
    };
    const added = { id: 'e', source: 'synthetic:testsrc2=size=320x180:rate=25', realtime: true };
    const changes = [
      () => ask('POST', '/streams', added),
      () => ask('POST', '/streams/b/pause', {}),
      () => ask('PATCH', '/streams/a', { maxFps: 20 }),
      () => ask('DELETE', '/streams/c'),
      () => ask('POST', '/streams/b/resume', {}),
      () => ask('DELETE', '/streams/e'),
      () => ask('POST', '/streams', added),
    ];
    for (const [round, change] of changes.entries()) {
      const [{ code }] = await Promise.all([change(), storm(round)]);
      expect(code, `change ${round}`).toBeLessThan(300);
      // A second storm while the stream opens.
      await storm(round + 1);
    }
    expect([...codes].sort(), 'refusals are answers, not failures').toEqual([200, 409]);
    await ask('POST', '/rollouts/resume', {});
    const isOver = async (): Promise<boolean> => !isActive((await status()).state);
    await waitFor('the end', isOver, { deadlineMs: 300_000, everyMs: 500 }, () => running.log.slice(-2000));
    expect(await rollout('status')).toMatchObject({ state: 'promoted', share: 100 });
    const { body } = await ask('GET', '/rollouts/history');
    const decisions = (body as { decisions: { fence: number; kind: string; step: number }[] }).decisions.reverse();
    const fences = decisions.map(({ fence }) => fence);
    expect(fences, 'each decision once, in order').toEqual([...new Set(fences)].sort((one, two) => one - two));
    const advanced = decisions.filter(({ kind }) => kind === 'advanced').map(({ step }) => step);
    expect(advanced, 'no step is skipped or repeated').toEqual([...advanced.keys()].map((i) => i + 1));
    const before = await published();
    expect(before).toHaveLength(4);
    await waitFor('every stream to go on', async () => (await published()).every((count, i) => count > before[i]!));
  }, 400_000);

  it('the pipeline runs without roll-outs, and says why, if their folder cannot be written', async () => {
    await running.kill();
    writeFileSync(at('occupied'), 'a file, not a folder');
    writeFileSync(at('people.yaml'), pipeline(ROWS, join(at('occupied'), 'state')));
    await start();
    expect(running.log).toMatch(/roll-outs are off: .*ENOTDIR.*rollout\.folder names another place/);
    const { code, stderr } = await cli(['rollout', 'status', '--url', url]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('roll-out');
    const before = await published();
    await waitFor('every stream to go on', async () => (await published()).every((count, i) => count > before[i]!));
  }, 60_000);
});
