import { describe, expect, it } from 'vitest';
import { bubblewrapPrefix } from '../../../../src/base/process/bubblewrap.ts';
import type { SandboxView } from '../../../../src/base/process/sandbox-view.ts';

const VIEW: SandboxView = {
  programs: ['/usr'],
  reads: ['/tmp/media/a.mp4'],
  devices: ['/dev/null'],
  kernel: [],
  writes: [],
  network: false,
  folder: '/srv',
};

/** What is mounted where, in order. */
function mounts(view: SandboxView): string[] {
  const args = bubblewrapPrefix(view);
  return args.flatMap((arg, i) => (/^--(?:(?:ro-|dev-)?bind|tmpfs|proc)/.test(arg) ? [`${arg} ${args[i + 1]}`] : []));
}

describe('what bubblewrap is asked for', () => {
  it('mounts the source after the folder of temporary files that may hide it, and nothing else', () => {
    expect(mounts(VIEW)).toEqual([
      '--tmpfs /tmp',
      '--ro-bind-try /usr',
      '--ro-bind-try /tmp/media/a.mp4',
      '--dev-bind-try /dev/null',
    ]);
  });

  it('mounts a folder for writing after the source, which may lie in it', () => {
    expect(mounts({ ...VIEW, writes: ['/tmp/media'] }).at(-1)).toBe('--bind /tmp/media');
  });

  it('shares the network only with a source on it', () => {
    expect(bubblewrapPrefix(VIEW)).toContain('--unshare-all');
    expect(bubblewrapPrefix(VIEW)).not.toContain('--share-net');
    expect(bubblewrapPrefix({ ...VIEW, network: true })).toContain('--share-net');
  });

  it('shows the processes of its own namespace only, where a device needs them', () => {
    expect(mounts({ ...VIEW, kernel: ['/proc', '/sys'] }).slice(1, 4)).toEqual([
      '--proc /proc',
      '--ro-bind-try /usr',
      '--ro-bind-try /sys',
    ]);
  });
});
