import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../src/base/errors/sightline-error.ts';
import { addJobs } from '../../../src/cli/jobs.ts';
import { runProgram } from '../../../src/cli/run-program.ts';
import { addStreams } from '../../../src/cli/streams.ts';
import { addSubmit } from '../../../src/cli/submit.ts';
import { FleetPlane, hostCard, jobReport } from '../../support/fleet-plane.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { TextSink } from '../../support/text-sink.ts';
import { waitFor } from '../../support/wait-for.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const SECRET_URL = 'redis://:secret@redis.example:6379';

describe('commands of the fleet', () => {
  let plane: FleetPlane;
  let folder: string;
  let stop: AbortController;
  let opened: string[];
  let stderr: TextSink;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-fleet-cli-'));
    mkdirSync(join(folder, 'archive/deep'), { recursive: true });
    for (const name of ['archive/b.mp4', 'archive/a.mkv', 'archive/deep/c.mp4', 'archive/notes.txt'])
      writeFileSync(join(folder, name), '');
    writeFileSync(join(folder, 'stream.yaml'), 'track: true\ntarget: { fps: 10 }\n');
    writeFileSync(join(folder, 'broken.yaml'), 'track: [\n');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    plane = new FleetPlane(new ManualClock());
    await plane.beat(hostCard('host-1'));
    stop = new AbortController();
    opened = [];
  });

  async function run(
    args: readonly string[],
    options: { redisUrl?: string | undefined; isTTY?: boolean } = {},
  ): Promise<Ended> {
    const stdout = new TextSink();
    stderr = new TextSink(options.isTTY);
    const environment = {
      ffmpegPath: undefined,
      searchPath: '',
      modelPath: [],
      cacheDir: '',
      token: undefined,
      redisUrl: 'redisUrl' in options ? options.redisUrl : SECRET_URL,
    };
    const io = { stdout, stderr, environment, stop: stop.signal };
    const program = new Command('sightline');
    for (const add of [addSubmit, addJobs, addStreams]) {
      add(program, io, async (url) => {
        opened.push(url);
        return plane;
      });
    }
    const code = await runProgram(program, args, io);
    if (opened.length > 0) expect(plane.isClosed, 'the connection was closed').toBe(true);
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  const archive = (): string => join(folder, 'archive');

  describe('submit', () => {
    it('queues every video of a folder with absolute paths for the only pipeline', async () => {
      const { code, stdout } = await run([
        'submit',
        archive(),
        '--out',
        'results',
        '--track',
        '--every',
        '2',
        '--id',
        'n',
      ]);
      expect(code).toBe(0);
      expect(plane.tasks.orders).toMatchObject([
        {
          id: 'n',
          pipeline: 'street',
          inputs: ['a.mkv', 'b.mp4', 'deep/c.mp4'].map((name) => join(archive(), name)),
          outDir: resolve('results'),
          track: true,
          every: 2,
          segmentSeconds: 60,
        },
      ]);
      expect(stdout).toContain('sightline jobs n shows its progress');
    });

    it('with --model takes the pipeline whose hosts run the detector', async () => {
      await plane.beat(hostCard('host-2', { pipeline: 'dock', model: 'picodet-s 416x416 onnx/cpu f32' }));
      const ask = (...flags: string[]) => run(['submit', archive(), '--out', '/r', ...flags]);
      expect((await ask('--model', 'picodet-s')).code).toBe(0);
      expect(plane.tasks.orders[0]).toMatchObject({ pipeline: 'dock' });
      expect(plane.tasks.orders[0]).not.toHaveProperty('model');
      expect((await ask('--model', 'yolox-nano-480x256', '--pipeline', 'street')).code).toBe(0);
      const missing = await ask('--model', 'picodet');
      expect([missing.code, missing.stderr]).toEqual([
        2,
        expect.stringMatching(
          /expected a detector that a host runs, received "picodet"; they run picodet-s, yolox-nano-480x256/,
        ),
      ]);
      expect((await ask('--model', 'picodet-s', '--pipeline', 'street')).stderr).toMatch(/they run yolox-nano-480x256/);
    });

    it('names what it leaves out of a folder, and refuses a picture', async () => {
      writeFileSync(join(archive(), 'deep/photo.jpg'), 'x');
      const { code, stderr: said } = await run(['submit', archive(), '--out', '/r']);
      expect([code, said]).toEqual([
        0,
        expect.stringMatching(/2 files are no video, and left out: .*deep\/photo\.jpg/),
      ]);
      const refused = await run(['submit', join(archive(), 'deep/photo.jpg'), '--out', '/r']);
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/photo\.jpg": expected a video, received a picture; `sightline detect` reads pictures/),
      ]);
      rmSync(join(archive(), 'deep/photo.jpg'));
    });

    it('prints exactly one JSON document on standard output', async () => {
      const { stdout } = await run(['submit', join(archive(), '*.mp4'), '--out', '/r', '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ report: { inputs: 1, outDir: '/r' }, order: {}, deadLetters: [] });
    });

    it('waits, shows the progress with the time left, and exits with 0 if everything succeeds', async () => {
      const running = run(['submit', archive(), '--out', '/r', '--id', 'n', '--wait'], { isTTY: true });
      await waitFor('the job', () => plane.tasks.reports.has('n'));
      plane.tasks.put(jobReport('n', { state: 'running', progressRatio: 0.5, inputs: 3, secondsLeft: 75 }));
      await waitFor('the time left', () => stderr.text.includes('running, 0/3 files, 0 frames | 1 min 15 s left'));
      plane.tasks.put(jobReport('n', { state: 'done', progressRatio: 1, finishedMs: 9, filesDone: 3, inputs: 3 }));
      const { code, stdout } = await running;
      expect(code).toBe(0);
      expect(stdout).toMatch(/n\s+done\s+100 %\s+3\/3/);
    });

    it('waits through an outage, and exits with 1 and the reasons if something failed for good', async () => {
      const running = run(['submit', archive(), '--out', '/r', '--id', 'n', '--wait']);
      await waitFor('the job', () => plane.tasks.reports.has('n'));
      plane.isDown = true;
      await waitFor('the warning', () => stderr.text.includes('warning: redis://redis.example: no answer'));
      plane.isDown = false;
      plane.tasks.letters.push({
        taskId: 't',
        jobId: 'n',
        kind: 'segment',
        input: '/v/a.mp4',
        reason: 'SOURCE_UNREADABLE: no video',
        attempts: 3,
        failedMs: 1,
      });
      plane.tasks.put(jobReport('n', { state: 'failed', deadLetters: 1, finishedMs: 9 }));
      const { code, stderr: said, stdout } = await running;
      expect(code).toBe(1);
      expect(said).toContain('error: job n: failed');
      expect(said).toContain('segment of /v/a.mp4, 3 attempts: SOURCE_UNREADABLE: no video');
      expect(stdout).toContain('Failed for good');
    });

    it('stops waiting on Ctrl-C while the job continues', async () => {
      const running = run(['submit', archive(), '--out', '/r', '--id', 'n', '--wait']);
      await waitFor('the job', () => plane.tasks.reports.has('n'));
      stop.abort();
      const { code, stderr: said } = await running;
      expect([code, plane.tasks.calls]).toEqual([1, []]);
      expect(said).toContain('job n continues without this command');
    });

    it('accepts an absolute path that only the hosts have, with a warning', async () => {
      const { code, stderr: said } = await run(['submit', '/hosts/only.mp4', '--out', '/r']);
      expect([code, plane.tasks.orders[0]?.inputs]).toEqual([0, ['/hosts/only.mp4']]);
      expect(said).toContain('warning: /hosts/only.mp4 is not on this machine');
    });
  });

  describe('jobs', () => {
    beforeEach(() => {
      plane.tasks.put(jobReport('old', { state: 'done', progressRatio: 1, finishedMs: 1 }));
      plane.tasks.put(
        jobReport('night', { state: 'running', progressRatio: 0.257, secondsLeft: 4000, deadLetters: 2 }),
      );
    });

    it('lists them, newest first', async () => {
      const { code, stdout } = await run(['jobs']);
      expect(code).toBe(0);
      expect(stdout).toMatch(
        /^job\s+state\s+done[^\n]*\nnight\s+running\s+25 %[^\n]*1 h 6 min[^\n]*\nold\s+done\s+100 %/,
      );
      expect(JSON.parse((await run(['jobs', '--json'])).stdout)).toMatchObject([{ id: 'night' }, { id: 'old' }]);
    });

    it('reports that there are no jobs', async () => {
      plane.tasks.reports.clear();
      expect((await run(['jobs'])).stdout).toContain('No jobs');
    });

    it('cancels and retries one', async () => {
      const retried = await run(['jobs', 'night', '--retry']);
      const cancelled = await run(['jobs', 'night', '--cancel', '--json']);
      expect([retried.code, cancelled.code, plane.tasks.calls]).toEqual([0, 0, ['retry night', 'cancel night']]);
      expect(retried.stderr).toContain('2 tasks are queued again');
      expect(JSON.parse(cancelled.stdout)).toMatchObject({ report: { state: 'cancelled' } });
    });
  });

  describe('streams', () => {
    it('adds one, with settings from flags and from a file', async () => {
      const url = 'rtsp://user:secret@camera.example/1';
      const config = join(folder, 'stream.yaml');
      const flags = ['--max-fps', '10', '--priority', '-5', '--config', config];
      const { code, stdout } = await run(['streams', 'add', 'gate', url, ...flags]);
      expect([code, stdout]).toEqual([0, 'gate is added to pipeline street\n']);
      expect((await plane.snapshot()).orders).toMatchObject([
        {
          id: 'gate',
          pipeline: 'street',
          config: { source: url, maxFps: 10, priority: -5, track: true, target: { fps: 10 } },
        },
      ]);
    });

    it('accepts settings as JSON and does not print the password', async () => {
      const url = 'rtsp://user:secret@camera.example/1';
      const { stdout } = await run(['streams', 'add', 'gate', url, '--config', '{"every":3}', '--json']);
      expect(JSON.parse(stdout)).toMatchObject({
        id: 'gate',
        config: { every: 3, source: 'rtsp://***@camera.example/1' },
      });
      expect(stdout).not.toContain('secret');
    });

    it.each([
      ['rtsp-password: "hunter2', '--config: line 1, column'],
      ['{"track": hunter2: 1}', '--config: line 1, column'],
      [
        'source: rtsp://bob:hunter2@camera.example/1',
        '--config: expected a file or a JSON object, received other text',
      ],
      ['rtsp://bob:hunter2@camera.example/1', '--config: expected a file or a JSON object, received "rtsp://***@'],
    ])('quotes no password of settings that cannot be read: %s', async (text, complaint) => {
      const isFile = text.startsWith('rtsp-password');
      const broken = join(folder, 'broken.yaml');
      writeFileSync(broken, text);
      const { code, stderr } = await run(['streams', 'add', 'gate', 'rtsp://a/1', '--config', isFile ? broken : text]);
      expect(code).not.toBe(0);
      expect(stderr).toContain(complaint);
      expect(stderr).not.toContain('hunter2');
    });

    it('lists streams and hosts, and why a stream waits', async () => {
      await run(['streams', 'add', 'gate', 'rtsp://user:secret@camera.example/1']);
      await plane.memory.leave('host-1', 1);
      const { code, stdout } = await run(['streams', 'list']);
      expect(code).toBe(0);
      expect(stdout).toMatch(/gate\s+starting\s+-\s+-\s+-\s+-\s+-\s+rtsp:\/\/\*\*\*@camera/);
      expect(stdout).toContain('No hosts');
      expect(stdout).toContain('gate: No host runs pipeline "street": there is no host at all.');
      for (const args of [
        ['streams', 'list', '--json'],
        ['streams', '--json'],
      ])
        expect(JSON.parse((await run(args)).stdout)).toMatchObject({ streams: [{ id: 'gate' }] });
    });

    it('moves, drains, undrains and removes', async () => {
      await run(['streams', 'add', 'gate', 'rtsp://camera.example/1']);
      const order = async (): Promise<unknown> => (await plane.snapshot()).orders[0]?.wantedHost;
      await run(['streams', 'move', 'gate', 'host-1']);
      expect(await order()).toBe('host-1');
      await run(['streams', 'move', 'gate', 'auto']);
      expect(await order()).toBeNull();
      await run(['streams', 'drain', 'host-1']);
      expect([...(await plane.snapshot()).draining]).toEqual(['host-1']);
      await run(['streams', 'drain', 'host-1', '--undo']);
      expect([...(await plane.snapshot()).draining]).toEqual([]);
      expect((await run(['streams', 'remove', 'gate'])).stdout).toBe('gate is removed\n');
      expect((await plane.snapshot()).orders).toEqual([]);
    });
  });

  it.each<[string, (paths: { folder: string }) => string[], number, RegExp]>([
    ['submit without a folder for results', () => ['submit', 'a.mp4'], 2, /required option '--out <dir>'/],
    ['submit without an input', () => ['submit', '--out', '/r'], 2, /missing required argument 'input'/],
    [
      'submit of a missing file',
      () => ['submit', 'no.mp4', '--out', '/r'],
      1,
      /no\.mp4: no such file.*SOURCE_NOT_FOUND/,
    ],
    ['submit of an empty pattern', () => ['submit', 'no/*.mp4', '--out', '/r'], 1, /SOURCE_EMPTY/],
    ['submit of a camera', () => ['submit', 'rtsp://u:secret@c/1', '--out', '/r'], 2, /streams add.*COMMAND_INVALID/],
    [
      'an invalid number for --every',
      ({ folder }) => ['submit', folder, '--out', '/r', '--every', 'x'],
      2,
      /every: expected a whole/,
    ],
    [
      'a priority out of range',
      ({ folder }) => ['submit', folder, '--out', '/r', '--priority', '9999'],
      2,
      /priority: expected/,
    ],
    ['an invalid id', ({ folder }) => ['submit', folder, '--out', '/r', '--id', '../x'], 2, /id: expected/],
    ['cancel without a job', () => ['jobs', '--cancel'], 2, /--cancel: name the job/],
    ['cancel and retry at once', () => ['jobs', 'x', '--cancel', '--retry'], 2, /expected one of them/],
    ['an unknown job', () => ['jobs', 'x'], 1, /JOB_NOT_FOUND/],
    ['an unknown subcommand', () => ['streams', 'lits'], 2, /unknown command 'lits'/],
    [
      'a stream with an unknown setting',
      () => ['streams', 'add', 'x', 'rtsp://c/1', '--config', '{"tarck":true}'],
      2,
      /did you mean "track"/,
    ],
    [
      'a missing config file',
      () => ['streams', 'add', 'x', 'rtsp://c/1', '--config', 'no.yaml'],
      2,
      /CONFIG_NOT_FOUND/,
    ],
    [
      'a malformed config file',
      ({ folder }) => ['streams', 'add', 'x', 'rtsp://c/1', '--config', join(folder, 'broken.yaml')],
      2,
      /--config: .*CONFIG_INVALID/s,
    ],
    [
      'a malformed config, without quoting it',
      () => ['streams', 'add', 'x', 'rtsp://c/1', '--config', '{"source": "rtsp://u:secret@c/1" "every": 2}'],
      2,
      /--config: line 1, column 34: not valid YAML: .*CONFIG_INVALID/,
    ],
    ['a config that is a list', () => ['streams', 'add', 'x', 'rtsp://c/1', '--config', '{}[]'], 2, /CONFIG_INVALID/],
    ['a move of an unknown stream', () => ['streams', 'move', 'x', 'auto'], 1, /STREAM_NOT_FOUND/],
    ['a drain of an unknown host', () => ['streams', 'drain', 'x'], 1, /hosts of the fleet: host-1.*HOST_NOT_FOUND/],
  ])('refuses %s', async (_, args, code, message) => {
    const ended = await run(args({ folder }));
    expect(ended.stderr).toMatch(message);
    expect([ended.code, ended.stdout]).toEqual([code, '']);
    expect(ended.stderr).not.toContain('secret');
  });

  it('requires a pipeline if the hosts run several, and uses the named one', async () => {
    await plane.beat(hostCard('host-2', { pipeline: 'dock' }));
    const asked = await run(['submit', archive(), '--out', '/r']);
    expect([asked.code, plane.tasks.orders.length]).toEqual([2, 0]);
    expect(asked.stderr).toContain('hosts run dock, street; name one');
    expect((await run(['submit', archive(), '--out', '/r', '--pipeline', 'dock'])).code).toBe(0);
    expect(plane.tasks.orders[0]?.pipeline).toBe('dock');
  });

  it.each([[undefined], ['']])('explains how to name a Redis if there is none (REDIS_URL %j)', async (redisUrl) => {
    for (const args of [['jobs'], ['streams', 'list'], ['submit', archive(), '--out', '/r']]) {
      const { code, stderr: said } = await run(args, { redisUrl });
      expect(code).toBe(2);
      expect(said).toMatch(/--redis: .*set REDIS_URL.*sightline run.*\[COMMAND_INVALID\]/);
    }
    expect(opened).toEqual([]);
  });

  it('prefers the Redis of the flag to that of the environment', async () => {
    await run(['jobs', '--redis', 'redis://other']);
    await run(['jobs']);
    expect(opened).toEqual(['redis://other', SECRET_URL]);
  });

  it('exits with 1 if Redis does not answer', async () => {
    plane.isDown = true;
    for (const args of [['jobs'], ['streams', 'list'], ['submit', archive(), '--out', '/r', '--wait']]) {
      const { code, stderr: said } = await run(args);
      expect(code).toBe(1);
      expect(said).toContain('CONTROL_UNREACHABLE');
    }
  });

  it.each([['submit'], ['jobs'], ['streams']])('%s --help has examples', async (name) => {
    const { code, stdout } = await run([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
    expect(stdout.split('\n').filter((line) => line.startsWith(`  sightline ${name}`)).length).toBeGreaterThan(1);
  });

  it('an error of the control plane keeps its code', async () => {
    plane.tasks.jobs = async () => {
      throw new SightlineError('CONTROL_UNSUITABLE', 'redis://redis.example: expected Redis 7 or later, found 5');
    };
    expect((await run(['jobs'])).code).toBe(2);
  });
});
