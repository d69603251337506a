import { getPriority } from 'node:os';
import { describe, expect, it } from 'vitest';
import { FedChild } from '../../../../src/base/process/fed-child.ts';
import { programAs } from '../../../support/confinement.ts';

function run(script: string, input = ''): FedChild {
  const child = new FedChild(programAs('/bin/sh'), ['-c', script]);
  child.input.end(input);
  return child;
}

describe.skipIf(process.platform === 'win32')('FedChild (runs shell commands)', () => {
  it('gets its input and runs at a lower priority than this process', async () => {
    const child = new FedChild(programAs('/bin/sh'), ['-c', 'read word; test "$word" = picture']);
    expect(getPriority(child.pid!)).toBeGreaterThan(getPriority());
    child.input.end('picture\n');
    expect(await child.ended).toMatchObject({ isSuccess: true });
  });

  it('reports the last three lines of its log that are not blank', async () => {
    const child = run('printf "one\\ntwo\\n\\nthree\\nfour\\n" >&2; exit 1');
    expect(await child.ended).toEqual({ isSuccess: false, message: 'two | three | four' });
  });

  it('reports exit code or signal if it printed nothing', async () => {
    expect(await run('exit 3').ended).toEqual({ isSuccess: false, message: 'exit code 3' });
    const killed = new FedChild(programAs('/bin/sh'), ['-c', 'cat']);
    killed.kill();
    expect(await killed.ended).toEqual({ isSuccess: false, message: 'signal SIGKILL' });
  });

  it('survives a program that does not read its input', async () => {
    expect(await run('exec 0<&-; exit 0', 'x'.repeat(1_000_000)).ended).toMatchObject({ isSuccess: true });
  });

  it('reports the system error if the program cannot be started', async () => {
    const { pid, ended } = new FedChild(programAs('/nowhere/program', { shell: '/bin/sh' }), []);
    expect(pid).toBeNull();
    expect(await ended).toMatchObject({ isSuccess: false, message: expect.stringContaining('ENOENT') });
  });
});
