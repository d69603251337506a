import { readdirSync, readFileSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  /** As in /proc: R running, S sleeping, T stopped. */
  readonly state: string;
}

/** Is there a /proc to look processes up in? */
export const hasProc = process.platform === 'linux';

/** What starts an ffmpeg, and stays beside it in some cases. */
const LAUNCHER = /^(?:\/bin\/sh\0-c\0|[^\0]*\/(?:bwrap|setpriv|perl)\0)/;

/**
 * Living ffmpeg processes whose command line holds a text, by whoever started them: orphans are found too. Zombies have no
 * command line and are not found.
 */
export function ffmpegWith(text: string): FoundProcess[] {
  return processesWith(text).filter(({ pid }) => !LAUNCHER.test(read(`/proc/${pid}/cmdline`)));
}

/** The same, with the processes that start an ffmpeg or watch over it. */
export function processesWith(text: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const command = read(`/proc/${name}/cmdline`);
    if (!command.includes(text) || !/(^|\/)ffmpeg\0/.test(command)) continue;
    const stat = read(`/proc/${name}/stat`);
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
    if (state !== '' && state !== 'Z') found.push({ pid: Number(name), state });
  }
  return found;
}

/** Living children of this process, zombies left out, whose command line holds a text. */
export function childrenWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cmdline`).includes(text))
    .filter((name) => {
      const stat = read(`/proc/${name}/stat`);
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state !== 'Z' && Number(parent) === process.pid;
    })
    .map(Number);
}

/** Does a process with this pid live? */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== '' && !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}

export interface OwnResources {
  readonly threads: number;
  readonly fileDescriptors: number;
  readonly rssBytes: number;
}

/** What this process holds now. */
export function ownResources(): OwnResources {
  return {
    threads: readdirSync('/proc/self/task').length,
    fileDescriptors: readdirSync('/proc/self/fd').length,
    rssBytes: process.memoryUsage.rss(),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
