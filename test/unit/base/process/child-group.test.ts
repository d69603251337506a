import { describe, expect, it } from 'vitest';
import { ChildGroup, exitText, signalGroup } from '../../../../src/base/process/child-group.ts';

/** Starts a shell script and waits for its first line of output. */
async function start(script: string): Promise<{ group: ChildGroup; line: string; signal: Promise<string | null> }> {
  const group = await ChildGroup.start('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const signal = new Promise<string | null>((resolve) => group.child.once('exit', (_, name) => resolve(name)));
  const line = await new Promise<string>((resolve) =>
    group.child.stdout!.once('data', (text: Buffer) => resolve(text.toString().trim())),
  );
  return { group, line, signal };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe.skipIf(process.platform === 'win32')('ChildGroup (runs shell commands)', () => {
  it('ends with SIGTERM if the program accepts it', async () => {
    const { group, signal } = await start('echo up; while :; do sleep 0.05; done');
    expect(group.isGone).toBe(false);
    group.end();
    expect(await signal).toBe('SIGTERM');
    expect(group.isGone).toBe(true);
  });

  it('ends with SIGKILL if the program ignores SIGTERM', async () => {
    const { group, signal } = await start("trap '' TERM; echo up; while :; do sleep 0.05; done");
    group.end();
    group.end();
    expect(await signal).toBe('SIGKILL');
  });

  it('kills the children of the program too', async () => {
    const { group, line, signal } = await start('sleep 60 & echo $!; wait');
    group.kill();
    expect(await signal).toBe('SIGKILL');
    await expect.poll(() => isRunning(Number(line)), { timeout: 10_000 }).toBe(false);
  });

  it('kills a program that does not exit in time', async () => {
    const { group, signal } = await start('echo up; while :; do sleep 0.05; done');
    group.killAfter(20);
    expect(await signal).toBe('SIGKILL');
  });

  it('signals nothing once the program has exited', async () => {
    const { group, signal } = await start('echo up');
    expect(await signal).toBeNull();
    group.end();
    group.kill();
    group.killAfter(0);
    signalGroup(group.child.pid!, 'SIGKILL');
  });

  it('throws the system error if the program cannot be started', async () => {
    await expect(ChildGroup.start('/nowhere/program', [], { stdio: 'ignore' })).rejects.toThrow(/ENOENT/);
  });
});

describe('exitText', () => {
  it('names the exit code, or the signal if there was one', () => {
    expect(exitText({ code: 3, signal: null })).toBe('exit code 3');
    expect(exitText({ code: null, signal: 'SIGKILL' })).toBe('signal SIGKILL');
  });
});
