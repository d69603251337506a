import type { SandboxView } from './sandbox-view.ts';

/** Descriptor on which bubblewrap writes the pid of the program. */
const PID_PIPE = 3;

/**
 * Returns bubblewrap's arguments up to the program. It then sees only its view, in namespaces of its own, and is the first process
 * there: the kernel ends all others with it.
 */
export function bubblewrapPrefix(view: SandboxView): string[] {
  const { programs, reads, devices, kernel, writes, network, folder } = view;
  const readOnly = [...programs, ...kernel.filter((path) => path !== '/proc'), ...reads];
  return [
    ...['--unshare-all', '--unshare-user', ...(network ? ['--share-net'] : []), '--cap-drop', 'ALL'],
    ...['--die-with-parent', '--as-pid-1', '--info-fd', `${PID_PIPE}`],
    ...['--tmpfs', '/tmp', '--dir', folder],
    ...(kernel.includes('/proc') ? ['--proc', '/proc'] : []),
    ...readOnly.flatMap((path) => ['--ro-bind-try', path, path]),
    ...devices.flatMap((path) => ['--dev-bind-try', path, path]),
    ...writes.flatMap((path) => ['--bind', path, path]),
    ...['--chdir', folder, '--'],
  ];
}
