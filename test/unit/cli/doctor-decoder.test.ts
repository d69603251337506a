import { describe, expect, it } from 'vitest';
import type { Confinement } from '../../../src/base/process/confinement.ts';
import { confinementFindings } from '../../../src/cli/doctor-decoder.ts';
import { UNCONFINED } from '../../support/confinement.ts';

const LINUX: Confinement = {
  ...UNCONFINED,
  environment: { PATH: '/usr/bin', LANG: 'C' },
  memoryBytes: 4 * 2 ** 30,
  shell: '/bin/sh',
  setpriv: '/usr/bin/setpriv',
  sandbox: { kind: 'bwrap', bwrap: '/usr/bin/bwrap' },
};

function findings(confinement: Confinement, release = '6.12.0-1', notices: readonly string[] = []) {
  const list = confinementFindings(confinement, { release, notices });
  return Object.fromEntries(list.map(({ what, verdict, found }) => [what, `${verdict}: ${found}`]));
}

describe('what the doctor says of the confinement of ffmpeg', () => {
  it('names what holds', () => {
    expect(findings(LINUX)).toEqual({
      'decoder environment': 'ok: LANG, PATH',
      'decoder limits':
        'ok: 4096 MiB of memory, pictures of 67108864 pixels, no file written, no core dump, 256 files open',
      'decoder lifetime': 'ok: the kernel kills ffmpeg when its host dies',
      'decoder sandbox': 'ok: bwrap: only the source, no network for files, no other process',
    });
  });

  it('notes what is missing, with the reason', () => {
    const bare = { ...LINUX, memoryBytes: null, setpriv: null, sandbox: null };
    expect(findings(bare, '23.1.0', ['ffmpeg runs without a sandbox (bwrap: only Linux has it)'])).toMatchObject({
      'decoder limits': expect.stringMatching(/^note: .*memory is limited on Linux only$/),
      'decoder lifetime': 'ok: a process kills ffmpeg when its host dies',
      'decoder sandbox': 'note: ffmpeg runs without a sandbox (bwrap: only Linux has it)',
    });
    expect(findings({ ...bare, shell: null })).toMatchObject({
      'decoder limits': expect.stringMatching(/^note: /),
      'decoder lifetime': expect.stringMatching(/^note: .* may outlive/),
    });
  });

  it.each([
    ['5.15.0-100-generic', 'note'],
    ['6.6.9', 'note'],
    ['6.7.0', 'ok'],
    ['6.12.0', 'ok'],
    ['7.0.1', 'ok'],
  ])('landlock under Linux %s is: %s', (release, verdict) => {
    const landlock = { ...LINUX, sandbox: { kind: 'landlock', perl: '/usr/bin/perl' } } as const;
    expect(findings(landlock, release)['decoder sandbox']).toMatch(
      new RegExp(`^${verdict}: landlock: only the source`),
    );
  });
});
