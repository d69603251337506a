import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addModels } from '../../../src/cli/models.ts';
import { addRollout } from '../../../src/cli/rollout.ts';
import { runProgram } from '../../../src/cli/run-program.ts';
import { MemoryBus } from '../../../src/fleet/control/memory/memory-bus.ts';
import { StoredRollouts } from '../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../src/fleet/control/store/memory-store.ts';
import type { Gateway } from '../../../src/serve/gateway/gateway-options.ts';
import { VideoFolder } from '../../support/made-videos.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { openGateway } from '../../support/open-gateways.ts';
import { guardReport } from '../../support/rollout-doubles.ts';
import { type RolloutHost, RolloutRig } from '../../support/rollout-rig.ts';
import { RuntimeDouble } from '../../support/runtime-double.ts';
import { BASELINE } from '../../support/sample-steps.ts';
import { TextSink } from '../../support/text-sink.ts';

const TOKEN = 'a-token-of-sixteen-characters';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('sightline rollout', () => {
  let folder: string;
  const videos = new VideoFolder();
  let rig: RolloutRig;
  let host: RolloutHost;
  let gateway: Gateway;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-rollout-cli-'));
    writeFileSync(join(folder, 'guards.yaml'), 'margin: 0.05\n');
    writeFileSync(join(folder, 'broken.yaml'), 'margin: [\n');
    writeFileSync(join(folder, 'list.yaml'), '- margin\n');
    writeFileSync(join(folder, 'wrong.yaml'), 'margn: 0.05\n');
    writeFileSync(
      join(folder, 'new.yaml'),
      'name: people\ndescription: The new one.\nmodel: { name: new, engine: fake }\nbatch: { maxBatch: 4 }\n',
    );
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
    videos.remove();
  });
  beforeEach(async () => {
    const clock = new ManualClock();
    clock.advance(86_400_000);
    rig = new RolloutRig({
      store: new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people' }),
      bus: new MemoryBus(),
    });
    host = await rig.host('one');
    gateway = await openGateway(new RuntimeDouble(['gate']), {
      rollouts: host.agent,
      namedRollouts: new Map([['night', host.agent]]),
      token: TOKEN,
    });
  });
  afterEach(() => rig.close());

  async function run(
    args: readonly string[],
    options: { url?: string; token?: string | undefined } = {},
  ): Promise<Ended> {
    const [stdout, stderr] = [new TextSink(), new TextSink()];
    const token = 'token' in options ? options.token : TOKEN;
    const environment = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: '', token };
    const io = { stdout, stderr, environment, stop: new AbortController().signal };
    const program = new Command('sightline');
    addRollout(program, io);
    addModels(program, io);
    const code = await runProgram(program, [...args, '--url', options.url ?? gateway.url], io);
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await run([...args, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  it('starts a roll-out of a model with steps, hold time, frames and guards, and shows it', async () => {
    const guards = join(folder, 'guards.yaml');
    const flags = ['--steps', '5,100', '--hold', '10m', '--min-frames', '50', '--guards', guards];
    const started = await json('rollout', 'start', '--model', 'new', ...flags);
    expect(started).toMatchObject({
      state: 'running',
      step: 0,
      steps: [0, 5, 100, 100],
      share: 0,
      holdMs: 600_000,
      minFrames: 50,
      from: 'people@1',
      to: 'people@2',
      startedBy: 'SIGHTLINE_TOKEN',
    });
    expect(await json('rollout', 'status')).toEqual(started);
    host.panels.say(guardReport('undecided', { low: -0.0123, high: 0.0456 }));
    await host.agent.tick();
    const { stdout } = await run(['rollout', 'status']);
    expect(stdout).toContain('steps   [0] 5 100 100 alone %');
    expect(stdout).toContain('-0.0123 to 0.0456');
    expect(stdout).toMatch(/^now {5}Waiting for the time of the step: about \d+ s left\.$/m);
  });

  it.each([
    [['--recorded', '2h'], 7_200_000],
    [['--recorded', '--from', '2026-05-04T20:00:00Z', '--to', '2026-05-04T20:30:00Z'], 1_800_000],
  ])('first tries both on what is recorded with %j', async (flags, lengthMs) => {
    const started = await json('rollout', 'start', '--model', 'new', ...flags);
    expect(started).toMatchObject({ step: 0, share: 0, steps: [0, 0, 1, 10, 50, 100, 100] });
    const { fromMs, toMs } = host.target.span!;
    expect(toMs - fromMs).toBe(lengthMs);
    const { stdout } = await run(['rollout', 'status']);
    expect(stdout).toContain('steps   [recordings] 0 1 10 50 100 100 alone %');
    expect(stdout).toMatch(/^now {5}Waiting for the events on what is recorded: at most 4 h left\.$/m);
  });

  it('starts only if sequences show that identities are kept', async () => {
    const start = (folders: string) => run(['rollout', 'start', '--model', 'new', '--sequences', folders]);
    expect((await start(folder)).stderr).toContain(
      `${folder}: expected a folder with gt/gt.txt, as MOTChallenge has it`,
    );
    const sequence = join(folder, 'walk');
    mkdirSync(join(sequence, 'gt'), { recursive: true });
    const truth = Array.from({ length: 10 }, (_, id) => `1,${id + 1},${id * 20},0,9,9,1,-1,-1,-1\n`).join('');
    writeFileSync(join(sequence, 'gt', 'gt.txt'), truth);
    copyFileSync(await videos.make('walk.mp4', { frames: 5 }), join(sequence, 'video.mp4'));
    const { code, stderr } = await start(sequence);
    // Both versions run here, and this machine has no such model.
    expect(stderr).toMatch(/^running both versions over .*\nerror: model old: no manifest has this name/);
    expect(code).not.toBe(0);
    expect((await run(['rollout', 'status'])).stderr).toContain('has had no roll-out');
  });

  it('takes model and batch settings from a pipeline file', async () => {
    await json('rollout', 'start', '--pipeline', join(folder, 'new.yaml'));
    const versions = (await json('models', 'versions')) as unknown as { label: string; role: string; model: string }[];
    expect(versions.map(({ label, role, model }) => [label, role, model])).toEqual([
      ['people@1', 'control', 'old'],
      ['people@2', 'candidate', 'new'],
    ]);
  });

  it('takes the detector of a pipeline file that is meant; a file with one detector is about that', async () => {
    const file = join(folder, 'several.yaml');
    const [old, other] = ['old', 'new'].map((name) => ({ name, engine: 'fake' }));
    const pipeline = { name: 'people', description: 'x', model: old, models: { night: other } };
    writeFileSync(file, JSON.stringify(pipeline));
    const refused = await run(['rollout', 'start', file, '--detector', 'far']);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/--detector far: .*several\.yaml: night/),
    ]);
    const candidate = async (): Promise<string | undefined> => {
      const versions = (await json('models', 'versions')) as unknown as { role: string; model: string }[];
      return versions.find(({ role }) => role === 'candidate')?.model;
    };
    await json('rollout', 'start', file, '--detector', 'night');
    expect(await candidate()).toBe('new');
    await json('rollout', 'abort');
    await json('rollout', 'start', join(folder, 'new.yaml'), '--detector', 'night');
    expect(await candidate()).toBe('new');
    await json('rollout', 'abort');
    expect((await run(['rollout', 'start', file])).stderr).toContain('has the same model');
  });

  it('takes the whole result of optimize: settings of streams too, with the gain that it predicts', async () => {
    const report = join(folder, 'report');
    mkdirSync(report);
    const best = { name: 'people', description: 'x', model: { engine: 'fake', name: 'new' }, lanes: 1 };
    const file = join(report, 'best.yaml');
    writeFileSync(file, JSON.stringify({ ...best, defaults: { skip: { trackBetween: 3 } } }));
    writeFileSync(
      join(report, 'result.json'),
      JSON.stringify({
        outcome: 'faster',
        speedup: { ratio: 1.9, interval: [1.7, 2.1] },
        best: { configuration: { ...BASELINE, model: 'new', trackBetween: 3 } },
      }),
    );
    const started = await json('rollout', 'start', file);
    expect(started).toMatchObject({ predicted: { ratio: 1.9, low: 1.7, high: 2.1 }, measured: null });
    expect((await run(['rollout', 'status'])).stdout).toContain('gain    1.9 times (1.7 to 2.1) predicted');
    await json('rollout', 'abort');
    writeFileSync(file, JSON.stringify({ ...best, streams: [{ id: 'camera-0', source: 'demo', every: 2 }] }));
    expect(await json('rollout', 'start', file)).toMatchObject({ id: 'rollout-2', to: 'people@3' });
    await json('rollout', 'abort');
    writeFileSync(file, JSON.stringify({ ...best, lanes: 2 }));
    const refused = await run(['rollout', 'start', file]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('lanes: 1 -> 2')]);
    expect(refused.stderr).toContain('ROLLOUT_PARTIAL');
    expect(await json('rollout', 'start', file, '--partial')).toMatchObject({ state: 'running' });
  });

  it('holds, releases, promotes, undoes, and lists who did what', async () => {
    await json('rollout', 'start', '--model', 'new');
    expect(await json('rollout', 'hold')).toMatchObject({ state: 'holding', heldBy: 'SIGHTLINE_TOKEN' });
    expect(await json('rollout', 'hold', '--release')).toMatchObject({ state: 'running', heldBy: null });
    expect(await json('rollout', 'promote')).toMatchObject({ share: 1, step: 1 });
    const stale = await run(['rollout', 'promote', '--step', '0']);
    expect([stale.code, stale.stderr]).toEqual([1, expect.stringContaining('it is at step 1 (1 %)')]);
    expect(await json('rollout', 'promote', '--step', '1')).toMatchObject({ share: 10, step: 2 });
    expect(await json('rollout', 'promote', '--full')).toMatchObject({ state: 'promoted', share: 100 });
    expect(await json('rollout', 'undo')).toMatchObject({ state: 'rolled-back', share: 0 });
    const history = (await json('rollout', 'history')) as unknown as { kind: string; who: string }[];
    const kinds = ['undone', 'promoted', 'advanced', 'advanced', 'resumed', 'held', 'started'];
    expect(history.map(({ kind }) => kind)).toEqual(kinds);
    expect(new Set(history.map(({ who }) => who))).toEqual(new Set(['SIGHTLINE_TOKEN']));
    expect((await run(['rollout', 'history'])).stdout.split('\n')[1]).toContain('undone');
    await json('rollout', 'start', '--model', 'new');
    expect(await json('rollout', 'abort')).toMatchObject({ id: 'rollout-2', state: 'aborted' });
  });

  it.each<[string, number, string, string[]]>([
    ['no roll-out', 1, 'ROLLOUT_NOT_FOUND', ['status']],
    ['nothing to promote', 1, 'ROLLOUT_NOT_FOUND', ['promote']],
    ['a step that is no number', 2, '--step: expected a number', ['promote', '--step', 'last']],
    ['an unknown model', 2, 'MODEL_NOT_FOUND', ['start', '--model', 'unknown']],
    ['neither a model nor a pipeline', 2, 'COMMAND_INVALID', ['start']],
    ['both', 2, 'COMMAND_INVALID', ['start', '--model', 'new', '--pipeline', 'NEW']],
    ['a pipeline file that is missing', 2, 'CONFIG_NOT_FOUND', ['start', '--pipeline', '/none.yaml']],
    ['falling steps', 2, 'steps: expected rising percentages', ['start', '--model', 'new', '--steps', '50,10,100']],
    ['steps that end early', 2, 'that ends with 100', ['start', '--model', 'new', '--steps', '1,50']],
    ['steps that are no numbers', 2, '--steps: expected percentages', ['start', '--model', 'new', '--steps', 'a,b']],
    ['a hold time without meaning', 2, '--hold: expected a time', ['start', '--model', 'new', '--hold', 'soon']],
    [
      'a length of recordings that is none',
      2,
      '--recorded: expected a time',
      ['start', '--model', 'new', '--recorded', '2'],
    ],
    [
      'recordings of no time',
      2,
      '--recorded: expected a time of a minute or more',
      ['start', '--model', 'new', '--recorded', '0h'],
    ],
    [
      'recordings that end before they begin',
      2,
      '--from: expected a time before --to, received 2026-05-04T20:00:00Z and 2026-05-04T19:00:00Z',
      [
        ...['start', '--model', 'new', '--recorded'],
        ...['--from', '2026-05-04T20:00:00Z', '--to', '2026-05-04T19:00:00Z'],
      ],
    ],
    ['recordings without an end', 2, 'expected --from and --to', ['start', '--model', 'new', '--recorded']],
    [
      'two times of recordings',
      2,
      'received both',
      ['start', '--model', 'new', '--recorded', '2h', '--from', '2026-05-04T20:00:00Z'],
    ],
    [
      'a time without recordings',
      2,
      '--from, --to: only valid',
      ['start', '--model', 'new', '--from', '2026-05-04T20:00:00Z'],
    ],
    ['too few frames', 2, 'minFrames: expected', ['start', '--model', 'new', '--min-frames', '0']],
    ['a guards file that is missing', 2, 'CONFIG_NOT_FOUND', ['start', '--model', 'new', '--guards', '/none.yaml']],
    ['a guards file that is no YAML', 2, 'line 2', ['start', '--model', 'new', '--guards', 'BROKEN']],
    ['a guards file with a list', 2, 'received no keys', ['start', '--model', 'new', '--guards', 'LIST']],
    ['a guards file with a wrong key', 2, 'did you mean "margin"', ['start', '--model', 'new', '--guards', 'WRONG']],
    ['a file of authorities that is none', 2, '--ca: the CA file cannot be read', ['status', '--ca', 'LIST']],
    ['the model in use', 2, 'has the same model', ['start', '--model', 'old']],
    ['a URL that is none', 2, 'COMMAND_INVALID', ['status', '--url', 'ftp://host']],
  ])('explains %s', async (_, code, text, args) => {
    const files = { NEW: 'new.yaml', BROKEN: 'broken.yaml', LIST: 'list.yaml', WRONG: 'wrong.yaml' };
    const named = args.map((arg) => (arg in files ? join(folder, files[arg as keyof typeof files]) : arg));
    const at = named.indexOf('--url');
    const ended = at < 0 ? await run(['rollout', ...named]) : await run(['rollout', 'status'], { url: named[at + 1]! });
    expect(ended.stderr).toContain(text);
    expect([ended.code, ended.stdout]).toEqual([code, '']);
    expect(host.agent.rollout()).toBeNull();
  });

  it('refuses a second roll-out while one runs, with 409', async () => {
    await json('rollout', 'start', '--model', 'new');
    const { code, stderr } = await run(['rollout', 'start', '--model', 'newer']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('[ROLLOUT_RUNNING]')]);
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const again = await fetch(`${gateway.url}/api/rollouts`, { method: 'POST', headers, body: '{"model":"newer"}' });
    expect(again.status).toBe(409);
  });

  it('takes a promotion over REST only with the step that the client saw', async () => {
    const { id } = await json('rollout', 'start', '--model', 'new');
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const promote = (body?: object): Promise<Response> =>
      fetch(`${gateway.url}/api/rollouts/promote`, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
    expect((await promote()).status).toBe(400);
    expect((await promote({ step: 0 })).status).toBe(400);
    expect((await promote({ rollout: 'rollout-0', step: 0 })).status).toBe(409);
    expect((await promote({ rollout: id, step: 0 })).status).toBe(200);
    expect((await promote({ rollout: id, step: 0 })).status, 'the same again').toBe(409);
    expect(await json('rollout', 'status')).toMatchObject({ step: 1 });
  });

  it('says so if the token is wrong, or no gateway answers', async () => {
    expect((await run(['rollout', 'status'], { token: 'wrong' })).stderr).toContain('[UNAUTHORIZED]');
    writeFileSync(join(folder, 'token'), `${TOKEN}\n`);
    expect(await run(['rollout', 'status', '--token-file', join(folder, 'token')], { token: undefined })).toMatchObject(
      { stderr: expect.stringContaining('ROLLOUT_NOT_FOUND') },
    );
    await gateway.close();
    const ended = await run(['rollout', 'status']);
    expect([ended.code, ended.stderr]).toEqual([1, expect.stringContaining('[GATEWAY_UNREACHABLE]')]);
  });
});
