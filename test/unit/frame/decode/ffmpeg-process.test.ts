import { describe, expect, it } from 'vitest';
import type { ChildExit } from '../../../../src/base/process/child-group.ts';
import { FfmpegProcess } from '../../../../src/frame/decode/ffmpeg-process.ts';
import { programAs } from '../../../support/confinement.ts';

/** Runs a shell command in place of ffmpeg. `isOpen` tells whether there is memory for its bytes. */
async function start(script: string, isOpen: () => boolean = () => true) {
  const memory = new Uint8Array(1000);
  const taken: number[] = [];
  const lines: string[] = [];
  let resolve: (exit: ChildExit) => void;
  const exited = new Promise<ChildExit>((done) => {
    resolve = done;
  });
  const child = await FfmpegProcess.start(
    programAs('/bin/sh'),
    ['-c', script],
    {},
    {
      nextBuffer: () => (isOpen() ? memory : null),
      onBytes: (bytes) => taken.push(...memory.subarray(0, bytes)),
      onLogLine: (line) => lines.push(line),
      onExit: (exit) => resolve(exit),
    },
  );
  return { child, taken, lines, exited };
}

function text(bytes: readonly number[]): string {
  return Buffer.from(bytes).toString();
}

describe.skipIf(process.platform === 'win32')('FfmpegProcess (runs shell commands)', () => {
  it('delivers every byte and every log line before it reports the exit', async () => {
    const { taken, lines, exited } = await start('printf picture; echo "one\ntwo" >&2; exit 3');
    expect(await exited).toEqual({ code: 3, signal: null });
    expect(text(taken)).toBe('picture');
    expect(lines).toEqual(['one', 'two']);
  });

  it('loses no byte of a child that starts before there is memory for it', async () => {
    let isOpen = false;
    const { child, taken, exited } = await start('printf abcdefgh', () => isOpen);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(taken).toEqual([]);
    isOpen = true;
    child.resume();
    await exited;
    expect(text(taken)).toBe('abcdefgh');
  });

  it('loses no byte when memory runs out between two reads', async () => {
    let isOpen = true;
    const run = await start('printf abc; sleep 0.2; printf def', () => isOpen);
    await expect.poll(() => run.taken.length).toBe(3);
    isOpen = false;
    // The read that already has memory may still complete; the next one gets none.
    await new Promise((resolve) => setTimeout(resolve, 400));
    isOpen = true;
    run.child.resume();
    await run.exited;
    expect(text(run.taken)).toBe('abcdef');
  });

  it('passes commands to a child that reads them, and none to one that has ended', async () => {
    const lines: string[] = [];
    let onExit: (exit: ChildExit) => void = () => undefined;
    const exited = new Promise<ChildExit>((resolve) => {
      onExit = resolve;
    });
    const callbacks = {
      nextBuffer: () => null,
      onBytes: () => undefined,
      onLogLine: (l: string) => void lines.push(l),
      onExit,
    };
    const child = await FfmpegProcess.start(
      programAs('/bin/sh'),
      ['-c', 'exec >/dev/null; read line; echo "$line" >&2'],
      {},
      callbacks,
      'pipe',
    );
    child.command('keep half\n');
    expect(await exited).toEqual({ code: 0, signal: null });
    expect(lines).toEqual(['keep half']);
    child.command('keep all\n');
    const { child: deaf, exited: deafExited } = await start('exit 0');
    deaf.command('keep half\n');
    expect((await deafExited).code).toBe(0);
  });

  it('kills the whole group, with SIGKILL if it ignores SIGTERM', async () => {
    const { child, exited, lines } = await start("trap '' TERM; echo up >&2; while :; do sleep 0.05; done");
    await expect.poll(() => lines).toEqual(['up']);
    child.kill();
    child.kill();
    expect(await exited).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('can be killed after it has exited', async () => {
    const { child, exited } = await start('exit 0');
    await exited;
    child.kill();
  });

  it('throws the system error if the binary cannot be started', async () => {
    const callbacks = { nextBuffer: () => null, onBytes: () => {}, onLogLine: () => {}, onExit: () => {} };
    await expect(FfmpegProcess.start(programAs('/nowhere/ffmpeg'), [], {}, callbacks)).rejects.toThrow(/ENOENT/);
  });
});
