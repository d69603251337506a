import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ended, startCli, temporaryFolder } from '../support/cli.ts';
import { hasProc, isAlive } from '../support/processes.ts';
import { waitFor, within } from '../support/wait-for.ts';

const STREAM = '{ id: door, source: "synthetic:testsrc2=size=320x180:rate=25", realtime: true, policy: file }';
const MODEL = '{ engine: fake, fake: { rows: [128, 128, 256, 256, 0.9, 0] } }';

describe('a signal', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  let child: ChildProcess | null = null;
  beforeEach(() => {
    temporary = temporaryFolder();
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    temporary.remove();
  });

  const at = (name: string): string => join(temporary.path, name);
  const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const process = startCli(args, env);
    child = process;
    const result = ended(process);
    let log = '';
    process.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    return { process, end: () => within('the end', 60_000, result), log: () => log };
  };
  const pipeline = (sinks: string): string => {
    writeFileSync(
      at('pipeline.yaml'),
      `name: signals\ndescription: A paced source.\nmodel: ${MODEL}\nstreams:\n  - ${STREAM}\nsinks:\n  - ${sinks}\n`,
    );
    return at('pipeline.yaml');
  };
  const lines = (name: string): number =>
    existsSync(at(name)) ? readFileSync(at(name), 'utf8').split('\n').length : 0;

  /** Starts a command on a terminal of its own, as a shell does. It is closed when the process `script` ends. */
  const startOnTerminal = (args: readonly string[]) => {
    const line = [process.execPath, 'dist/workers/sightline.process.js', ...args].map((word) => `'${word}'`).join(' ');
    // With exec the command itself gets SIGHUP, not a shell.
    const terminal = spawn('script', ['-qefc', `exec ${line} 2>'${at('log')}'`, '/dev/null'], { stdio: 'ignore' });
    child = terminal;
    return { terminal, log: () => (existsSync(at('log')) ? readFileSync(at('log'), 'utf8') : '') };
  };
  const hasScript = spawnSync('script', ['--version']).status === 0;

  it.skipIf(!hasScript).each(['run', 'host'])(
    'a closed terminal ends %s in order (skipped without script of util-linux)',
    async (command) => {
      const sink = `{ type: coco, path: "${at('day.json')}" }`;
      const { terminal, log } = startOnTerminal([command, pipeline(sink), '--port', '0']);
      await waitFor('the stream', () => /door is running/.test(log()), { deadlineMs: 60_000 }, log);
      const before = lines('day.partial.json');
      await waitFor('results', () => lines('day.partial.json') > before + 5, { deadlineMs: 60_000 }, log);
      // The terminal is gone, and the kernel sends SIGHUP.
      terminal.kill('SIGKILL');
      await waitFor('the result', () => existsSync(at('day.json')), { deadlineMs: 60_000 }, log);
      expect((JSON.parse(readFileSync(at('day.json'), 'utf8')) as object[]).length).toBeGreaterThan(4);
    },
  );

  it.each(['run', 'host'])('SIGHUP without a terminal, as in a service, does not end %s', async (command) => {
    const { process, end, log } = start([
      command,
      pipeline(`{ type: jsonl, path: "${at('a.jsonl')}" }`),
      '--port',
      '0',
    ]);
    await waitFor('results', () => lines('a.jsonl') > 2, { deadlineMs: 60_000 }, log);
    process.kill('SIGHUP');
    const before = lines('a.jsonl');
    await waitFor('more results', () => lines('a.jsonl') > before + 10, { deadlineMs: 60_000 }, log);
    process.kill('SIGTERM');
    expect((await end()).code).toBe(0);
  });

  it('SIGHUP ends detect in order: the results so far are a complete file', async () => {
    const source = 'synthetic:testsrc2=size=320x180:rate=25:duration=600';
    const { process, end, log } = start(['detect', source, '--engine', 'fake', '--coco', at('day.json')]);
    await waitFor('results', () => existsSync(at('day.partial.json')), { deadlineMs: 60_000 }, log);
    process.kill('SIGHUP');
    const { code, stderr } = await end();
    expect(code, stderr).not.toBeNull();
    expect(existsSync(at('day.partial.json'))).toBe(false);
  });

  describe.skipIf(!hasProc)('during the first start, while npm fetches without an end (needs /proc)', () => {
    /** An npm that never answers, and the environment of a user who has nothing yet. */
    const hangingNpm = (): { env: NodeJS.ProcessEnv; pids: () => number[] } => {
      writeFileSync(at('npm'), `#!/bin/sh\necho $$ >> '${at('pids')}'\nexec sleep 600\n`, { mode: 0o755 });
      const pids = (): number[] =>
        existsSync(at('pids')) ? readFileSync(at('pids'), 'utf8').trim().split('\n').map(Number) : [];
      const { path } = temporary;
      const env = { PATH: `${path}${delimiter}${process.env.PATH}`, SIGHTLINE_CACHE_DIR: at('cache'), TMPDIR: path };
      return { env, pids };
    };
    const left = (): string[] => readdirSync(temporary.path).filter((name) => name.startsWith('sightline-npm-'));

    const STOPPED = /stopped during the start/;

    it.each([
      ['run', 'SIGTERM', 0],
      ['run', 'SIGINT', 0],
      ['host', 'SIGTERM', 0],
      ['detect', 'SIGINT', 130],
      ['detect', 'SIGTERM', 143],
      ['models', 'SIGINT', 130],
    ] as const)('%s ends by %s, and npm with it', async (command, signal, expected) => {
      const { env, pids } = hangingNpm();
      writeFileSync(at('first.yaml'), 'name: first\ndescription: x\nmodel: { engine: onnx }\nstreams: []\n');
      const args =
        command === 'detect'
          ? ['synthetic:testsrc2', '--engine', 'onnx', '--out', at('a.jsonl')]
          : command === 'models'
            ? ['pull', 'centernet']
            : [at('first.yaml'), '--port', '0'];
      const { process: child, end, log } = start([command, ...args], env);
      await waitFor('npm', () => pids().length > 0, { deadlineMs: 60_000 }, log);
      child.kill(signal);
      const { code, stderr } = await end();
      expect(code, stderr).toBe(expected);
      expect(stderr).toMatch(
        { detect: /interrupted after 0 of 1 file/, models: /interrupted/, run: STOPPED, host: STOPPED }[command],
      );
      expect(pids().filter(isAlive)).toEqual([]);
      expect(left()).toEqual([]);
    });
  });

  it('SIGUSR1 never opens the debugger', async () => {
    const { process, end, log } = start(['run', pipeline(`{ type: jsonl, path: "${at('a.jsonl')}" }`), '--port', '0']);
    await waitFor('results', () => lines('a.jsonl') > 2, { deadlineMs: 60_000 }, log);
    process.kill('SIGUSR1');
    const before = lines('a.jsonl');
    await waitFor('more results', () => lines('a.jsonl') > before + 10, { deadlineMs: 60_000 }, log);
    process.kill('SIGTERM');
    const { code, stderr } = await end();
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/Debugger/);
  });

  it('SIGTERM ends a pipeline whose pipe nobody reads, and the log says so', async () => {
    spawn('mkfifo', [at('pipe')]);
    await waitFor('the pipe', () => existsSync(at('pipe')));
    const { process, end, log } = start(['run', pipeline(`{ type: jsonl, path: "${at('pipe')}" }`), '--port', '0']);
    await waitFor(
      'the failure',
      () => /sink jsonl-1: cannot write .*no program reads/.test(log()) && /is running with/.test(log()),
      { deadlineMs: 60_000 },
      log,
    );
    process.kill('SIGTERM');
    const { code, stderr } = await end();
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/results were lost/);
  });

  it('SIGTERM ends a pipeline whose disk hangs, by SIGKILL as the last resort', async () => {
    const env = { NODE_OPTIONS: `--import=${pathToFileURL('test/support/stuck-disk.mjs').href}` };
    const config = pipeline(`{ type: jsonl, path: "${at('stuck.jsonl')}" }`);
    const { process, end, log } = start(['run', config, '--port', '0'], env);
    await waitFor('the stream', () => /door is running/.test(log()), { deadlineMs: 60_000 }, log);
    process.kill('SIGTERM');
    const { stderr } = await end();
    expect(stderr).toMatch(/does not respond.*ETIMEDOUT.*lost/);
    expect(stderr).toMatch(/a request to the file system does not return/);
  });
});
