import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

const PREFIX = 'loadtest';
/** loadtest-MACHINE-PID-START-N */
const PATTERN = /^loadtest-([0-9a-f]{8})-(\d+)-(\d+)-(\d+)$/;

/** Which process of which machine a stream belongs to. */
export interface Owner {
  /** Hash of the machine's current boot. */
  readonly machine: string;
  readonly pid: number;
  /** When the process started, in ticks since the boot; 0 where the system does not tell. Pids are used again. */
  readonly start: number;
}

export function thisOwner(): Owner {
  return { machine: machineHash(), pid: process.pid, start: startOf(process.pid) ?? 0 };
}

/** Names the n-th stream of an owner, so that a later run can tell whether its owner still runs. */
export function ownStreamId({ machine, pid, start }: Owner, n: number): string {
  return [PREFIX, machine, pid, start, n].join('-');
}

/**
 * Finds streams that load tests left behind.
 *
 * @returns `dead`: their process ran on this machine and has ended;
 * `others`: of load tests that run, or of other machines.
 */
export function findLeftovers(
  ids: readonly string[],
  { machine }: Owner = thisOwner(),
  isRunning: (owner: Owner) => boolean = ownerRuns,
): { readonly dead: string[]; readonly others: string[] } {
  const dead: string[] = [];
  const others: string[] = [];
  for (const id of ids) {
    const [, of, pid, start] = PATTERN.exec(id) ?? [];
    if (of === undefined) continue;
    const isDead = of === machine && !isRunning({ machine, pid: Number(pid), start: Number(start) });
    (isDead ? dead : others).push(id);
  }
  return { dead, others };
}

function ownerRuns({ pid, start }: Owner): boolean {
  const now = startOf(pid);
  if (now !== null) return start === 0 || now === start;
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' && process.platform !== 'linux';
  }
}

/** Field 22 of /proc/PID/stat; null if there is no such process, or it is a zombie. */
function startOf(pid: number): number | null {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined || fields[0] === 'Z') return null;
  return Number(fields[19]);
}

function machineHash(): string {
  const boot = read('/proc/sys/kernel/random/boot_id') ?? '';
  // Containers share a boot id, but not their process ids: their names differ.
  return createHash('sha256').update(`${hostname()} ${boot}`).digest('hex').slice(0, 8);
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
