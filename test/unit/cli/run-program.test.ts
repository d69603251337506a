import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { Interruption } from '../../../src/cli/interruption.ts';
import { runProgram } from '../../../src/cli/run-program.ts';
import { readEnvironment } from '../../../src/settings/config/environment.ts';

/** Runs a program whose only command throws, after a signal or without one. */
async function outcomeOf(isInterrupted: boolean, thrown: (signal: AbortSignal) => unknown, reason?: Interruption) {
  const stop = new AbortController();
  const stderr = new PassThrough();
  const io = { stdout: new PassThrough(), stderr, environment: readEnvironment({}), stop: stop.signal };
  const program = new Command().action(() => {
    if (isInterrupted) stop.abort(reason);
    throw thrown(stop.signal);
  });
  const code = await runProgram(program, [], io);
  return { code, said: String(stderr.read() ?? '') };
}

describe('a command that a signal interrupts', () => {
  it('exits with 130 and is no bug', async () => {
    expect(await outcomeOf(true, (signal) => signal.reason)).toEqual({ code: 130, said: 'interrupted\n' });
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('exits as shells report %s: %i', async (name, code) => {
    const thrown = (signal: AbortSignal): unknown => signal.reason;
    expect(await outcomeOf(true, thrown, new Interruption(name))).toEqual({ code, said: 'interrupted\n' });
  });

  it('still reports another failure', async () => {
    const { code, said } = await outcomeOf(true, () => new TypeError('broken'));
    expect(code).toBe(1);
    expect(said).toContain('broken');
    expect(said).toContain('This is a bug in Sightline.');
  });

  it('is not assumed of an abort that no signal caused', async () => {
    const { code, said } = await outcomeOf(false, () => AbortSignal.abort().reason);
    expect(code).toBe(1);
    expect(said).toContain('This is a bug in Sightline.');
  });
});
