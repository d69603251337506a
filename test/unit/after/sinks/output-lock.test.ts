import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutputLock } from '../../../../src/after/sinks/output-lock.ts';
import { makePipe } from '../../../support/made-pipe.ts';
import { hasProc } from '../../../support/processes.ts';
import { waitFor } from '../../../support/wait-for.ts';

let folder: string;
let path: string;
const racers: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-lock-'));
  path = join(folder, 'out.jsonl');
});
afterEach(() => {
  for (const racer of racers.splice(0)) racer.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** Starts a process that tries to take the lock; returns it with its output. */
async function race(): Promise<{ said: string; child: ChildProcess }> {
  const child = spawn(process.execPath, ['test/support/lock-racer.mjs', path], { stdio: ['pipe', 'pipe', 'inherit'] });
  racers.push(child);
  const said = await new Promise<string>((resolve) =>
    child.stdout.once('data', (text: Buffer) => resolve(`${text}`.trim())),
  );
  return { said, child };
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

const left = (): string[] => readdirSync(folder).filter((name) => name !== 'out.jsonl');

describe('a lock', () => {
  it('is exclusive, and free again after its release', async () => {
    const lock = await OutputLock.take(path, 'jsonl-1');
    await expect(OutputLock.take(path, 'coco-2')).rejects.toMatchObject({
      code: 'SINK_BUSY',
      message: expect.stringMatching(
        'sink coco-2: .*out.jsonl is written by sink jsonl-1 of this process; choose another file',
      ),
    });
    await lock!.release();
    await lock!.release();
    expect(left()).toEqual([]);
    await (await OutputLock.take(path, 'coco-2'))!.release();
  });

  it('is shared by all links to a file', async () => {
    writeFileSync(path, '');
    symlinkSync(path, join(folder, 'link.jsonl'));
    mkdirSync(join(folder, 'sub'));
    const lock = await OutputLock.take(join(folder, 'link.jsonl'), 'jsonl-1');
    await expect(OutputLock.take(join(folder, 'sub', '..', 'out.jsonl'), 'jsonl-2')).rejects.toThrow(/out\.jsonl/);
    await lock!.release();
  });

  it.each([
    ['a device', () => '/dev/null'],
    ['a folder that does not exist', () => join(folder, 'missing', 'out.jsonl')],
  ])('is not taken for %s', async (_, makePath) => {
    expect(await OutputLock.take(makePath(), 'jsonl-1')).toBeNull();
  });
});

describe.skipIf(!hasProc)('between processes (needs /proc)', () => {
  it('a running process keeps its lock, a killed one loses it', async () => {
    const { said, child } = await race();
    expect(said).toBe('taken');
    await expect(OutputLock.take(path, 'jsonl-1')).rejects.toMatchObject({
      code: 'SINK_BUSY',
      details: { pid: child.pid! },
    });
    await killed(child);
    expect(existsSync(`${path}.lock`)).toBe(true);
    await (await OutputLock.take(path, 'jsonl-1'))!.release();
    expect(left()).toEqual([]);
  });

  it('exactly one of many gets the lock of a killed process', async () => {
    await killed((await race()).child);
    const said = (await Promise.all(Array.from({ length: 6 }, race))).map((each) => each.said);
    expect(said.sort()).toEqual([...Array(5).fill('SINK_BUSY'), 'taken']);
    expect(left()).toEqual(['out.jsonl.lock']);
  });

  it('a killed process whose parent has not reaped it loses its lock', async () => {
    // `sleep` takes the place of the shell, and reaps nobody.
    const racer = `${process.execPath} test/support/lock-racer.mjs ${path}`;
    const parent = spawn('/bin/sh', ['-c', `sleep 600 | ${racer} & exec sleep 600`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    try {
      await new Promise((resolve) => parent.stdout.once('data', resolve));
      const { pid } = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as { pid: number };
      process.kill(pid, 'SIGKILL');
      const isZombie = /^State:\s+Z[\s\S]*^Threads:\s+1$/m;
      await waitFor('a zombie', () => isZombie.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
      await (await OutputLock.take(path, 'jsonl-1'))!.release();
    } finally {
      process.kill(-parent.pid!, 'SIGKILL');
    }
  });

  it('a reused process id does not count as the holder', async () => {
    const { child } = await race();
    const holder = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as object;
    await killed(child);
    writeFileSync(`${path}.lock`, JSON.stringify({ ...holder, pid: process.ppid }));
    await (await OutputLock.take(path, 'jsonl-1'))!.release();
  });

  it.skipIf(process.platform === 'win32')('a pipe in the place of a lock is not waited for', async () => {
    utimesSync(makePipe(`${path}.lock`), 1, 1);
    const lock = await OutputLock.take(path, 'jsonl-1');
    expect(lock).not.toBe(null);
    await lock!.release();
  });

  it('a lock of another machine is judged by when it was touched', async () => {
    const { child } = await race();
    const holder = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as object;
    await killed(child);
    writeFileSync(`${path}.lock`, JSON.stringify({ ...holder, host: 'elsewhere' }));
    const touch = (secondsAgo: number) => {
      const at = Date.now() / 1000 - secondsAgo;
      utimesSync(`${path}.lock`, at, at);
    };
    const touching = setInterval(() => touch(0), 100);
    await expect(OutputLock.take(path, 'jsonl-1')).rejects.toMatchObject({ details: { host: 'elsewhere' } });
    clearInterval(touching);
    touch(60);
    await (await OutputLock.take(path, 'jsonl-1'))!.release();
    expect(left()).toEqual([]);
  });
});
