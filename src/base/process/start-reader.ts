import { accessSync, constants } from 'node:fs';
import type { Socket } from 'node:net';
import { ChildGroup } from './child-group.ts';
import { confinedReader, type Ffmpeg, type Launch } from './confinement.ts';
import type { Access } from './sandbox-view.ts';

export interface StartedReader {
  readonly group: ChildGroup;
  /** Resolves with the pid of ffmpeg itself, which a sandbox starts as its child. Never rejects. */
  readonly pid: Promise<number>;
}

/**
 * Starts a confined ffmpeg whose output and log are pipes.
 *
 * @param stdin - `pipe` if it reads commands.
 * @param extraPipes - descriptors from 4 on that are pipes as well.
 * @throws Error of the operating system if it cannot be started.
 */
export async function startReader(
  ffmpeg: Ffmpeg,
  args: readonly string[],
  access: Access,
  stdin: 'ignore' | 'pipe' = 'ignore',
  extraPipes: readonly number[] = [],
): Promise<StartedReader> {
  // The launcher would start, and only then find that there is none.
  accessSync(ffmpeg.path, constants.X_OK);
  const { path, args: all, environment, pipe } = confinedReader(ffmpeg, args, access);
  const stdio: ('ignore' | 'pipe')[] = [stdin, 'pipe', 'pipe', pipe === null ? 'ignore' : 'pipe'];
  for (let fd = stdio.length; fd <= Math.max(0, ...extraPipes); fd++)
    stdio.push(extraPipes.includes(fd) ? 'pipe' : 'ignore');
  const group = await ChildGroup.start(path, all, { stdio, environment });
  return { group, pid: programPid(group, pipe) };
}

function programPid({ child }: ChildGroup, pipe: Launch['pipe']): Promise<number> {
  const outer = child.pid!;
  if (pipe === null) return Promise.resolve(outer);
  const socket = child.stdio[3] as Socket;
  socket.on('error', () => undefined);
  child.once('exit', () => socket.destroy());
  if (pipe === 'lifeline') return Promise.resolve(outer);
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const pid = /"child-pid": *(\d+)/.exec(text)?.[1];
      if (pid !== undefined) resolve(Number(pid));
    });
    socket.once('close', () => resolve(outer));
  });
}
