import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type CliResult, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { FeedSocket } from '../support/feed-socket.ts';
import { makePipe } from '../support/made-pipe.ts';
import { waitFor, within } from '../support/wait-for.ts';

const PRELOAD = pathToFileURL('test/support/block-threads-on-signal.mjs').href;
/** All threads of Node's pool. */
const ALL = 4;

const PIPELINE = (folder: string): string => `
name: hanging
description: A synthetic stream on the fake engine, with results on disk.
model: { engine: fake, fake: { callMs: 2, rows: [128, 128, 256, 256, 0.9, 0] } }
streams:
  - { id: gate, source: "synthetic:testsrc2=size=320x240:rate=10" }
sinks:
  - { type: jsonl, path: "${join(folder, 'results.jsonl')}" }
`;

interface Host {
  readonly url: string;
  readonly pipe: string;
  readonly result: Promise<CliResult>;
  /** The signal that ended it; null if none did. */
  readonly endedBy: Promise<NodeJS.Signals | null>;
  kill(signal: NodeJS.Signals): void;
}

async function startHost(blocked: number): Promise<Host> {
  const temporary = temporaryFolder();
  const pipe = makePipe(join(temporary.path, 'pipe'));
  const path = join(temporary.path, 'pipeline.yaml');
  writeFileSync(path, PIPELINE(temporary.path));
  const child = startCli(['run', path, '--port', '0'], {
    NODE_OPTIONS: `--import=${PRELOAD}`,
    BLOCK_PIPE: pipe,
    BLOCK_COUNT: String(blocked),
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
    temporary.remove();
  });
  const result = ended(child);
  const endedBy = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  await waitFor('the stream', () => /is running with 1 stream/.test(log));
  return { url: /live at (http:\S+)/.exec(log)![1]!, pipe, result, endedBy, kill: (signal) => child.kill(signal) };
}

async function readiness(url: string): Promise<{ status: number; reason: string }> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, reason: ((await response.json()) as { reason: string }).reason };
}

describe.skipIf(process.platform === 'win32')('sightline run on a disk that hangs', () => {
  it('is not ready, says so to every client, and is ready again once the disk answers', async () => {
    const { url, pipe, kill } = await startHost(ALL);
    const feed = await FeedSocket.open(url);
    feed.say({ type: 'subscribe', topics: ['events', 'stats'] });
    await waitFor('readiness', async () => (await readiness(url)).status === 200);
    kill('SIGUSR2');
    await waitFor('no readiness', async () => (await readiness(url)).status === 503);
    expect((await readiness(url)).reason).toMatch(/the file system has not answered for \d+ s/);
    await waitFor('the event', () => feed.of('event').some(({ kind }) => kind === 'disk-stalled'));
    const writer = openSync(pipe, constants.O_RDWR);
    await waitFor('readiness', async () => (await readiness(url)).status === 200);
    await waitFor('the event', () => feed.of('event').some(({ kind }) => kind === 'disk-answered'));
    closeSync(writer);
  });

  it.each([
    ['all threads wait', ALL, /the file system does not answer, so results cannot be flushed/],
    ['one thread waits', 1, /everything is done, but a request to the file system does not return/],
  ])('ends on SIGTERM, although %s', async (_, blocked, why) => {
    const { kill, result } = await startHost(blocked);
    kill('SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 500));
    kill('SIGTERM');
    const { stderr } = await within('the end of the process', 25_000, result);
    expect(stderr).toMatch(/stopping/);
    expect(stderr).toMatch(why);
  });

  it('ends on a second signal, although all threads wait', async () => {
    const { kill, endedBy } = await startHost(ALL);
    kill('SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 500));
    kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 200));
    kill('SIGINT');
    // Which a shell reports as 130.
    expect(await within('the end of the process', 5_000, endedBy)).toBe('SIGINT');
  });

  it('ends with 0 on SIGTERM where nothing waits', async () => {
    const { kill, result } = await startHost(0);
    kill('SIGUSR2');
    kill('SIGTERM');
    const { code, stderr } = await within('the end of the process', 25_000, result);
    expect(stderr).not.toMatch(/SIGKILL/);
    expect(code).toBe(0);
  });
});
