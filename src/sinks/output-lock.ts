import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { SightlineError } from '../errors/sightline-error.ts';
import { isDevice, resolveOutput } from './output-names.ts';

/** A holder touches its lock this often; it counts where its process cannot be looked up. */
const TOUCH_MS = 1000;
const SILENT_MS = 5 * TOUCH_MS;
/** Each try ends with a new holder or a lock of our own; more than a few mean that many start at once. */
const MOST_TRIES = 100;

const holderSchema = z.object({
  id: z.string(),
  sink: z.string(),
  pid: z.number().int(),
  host: z.string(),
  /** Which machine since its last start, which process namespace, and which life of the process id; null where unknown. */
  boot: z.string().nullable(),
  namespace: z.string().nullable(),
  started: z.string().nullable(),
});
type Holder = z.infer<typeof holderSchema>;

/** By path of the lock; the process id alone does not tell one pipeline of this process from another. */
const heldHere = new Map<string, Holder>();

/**
 * The right to write one result file, as `FILE.lock` beside it. A crashed process leaves its lock behind; the next one sees
 * that the process is gone, and takes it over. Where that cannot be seen (another container, another machine), the lock
 * counts as left behind when it was not touched for five seconds.
 */
export class OutputLock {
  readonly #path: string;
  readonly #holder: Holder;
  readonly #touching: NodeJS.Timeout;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
    this.#touching = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => undefined);
    }, TOUCH_MS);
    this.#touching.unref();
  }

  /**
   * Takes the lock of a result file.
   *
   * @param sinkId - for the message that another process prints.
   * @returns null where the file cannot be locked: a pipe or device, or a folder in which nothing can be made. Whether the
   *   file can be written shows when it is opened.
   * @throws SINK_BUSY
   */
  static async take(path: string, sinkId: string): Promise<OutputLock | null> {
    if (await isDevice(path)) return null;
    let lockPath: string;
    try {
      lockPath = `${await resolveOutput(path)}.lock`;
    } catch {
      return null;
    }
    const own = heldHere.get(lockPath);
    if (own !== undefined) throw busy(path, sinkId, lockPath, own);
    const holder = ownIdentity(sinkId);
    heldHere.set(lockPath, holder);
    try {
      const isTaken = await takeFile(lockPath, holder, (other) => busy(path, sinkId, lockPath, other));
      if (isTaken) return new OutputLock(lockPath, holder);
    } catch (error) {
      heldHere.delete(lockPath);
      throw error;
    }
    heldHere.delete(lockPath);
    return null;
  }

  /** Lets go; safe to call again. */
  async release(): Promise<void> {
    clearInterval(this.#touching);
    if (heldHere.get(this.#path) !== this.#holder) return;
    // One that took it over while this process was suspended keeps it.
    if ((await readHolder(this.#path))?.id === this.#holder.id) await rm(this.#path, { force: true });
    heldHere.delete(this.#path);
  }
}

/** @returns false where the system does not let us make a lock at all. */
async function takeFile(path: string, holder: Holder, busyError: (other: Holder | null) => Error): Promise<boolean> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const made = await makeFile(path, holder);
    if (made !== 'exists') return made === 'made';
    const other = await readHolder(path);
    if (!(await isAbandoned(path, other))) throw busyError(other);
    await removeAbandoned(path, other);
  }
  throw busyError(null);
}

async function makeFile(path: string, holder: Holder): Promise<'made' | 'exists' | 'impossible'> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'wx');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'exists' : 'impossible';
  }
  // On a full disk it stays empty, and is judged by when it was touched.
  await handle.writeFile(JSON.stringify(holder)).catch(() => undefined);
  await handle.close();
  return 'made';
}

/** Null where the lock is gone or tells nothing. */
async function readHolder(path: string): Promise<Holder | null> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

async function isAbandoned(path: string, holder: Holder | null): Promise<boolean> {
  const verdict = holder === null ? null : isProcessGone(holder);
  return verdict ?? (await isSilent(path));
}

/** Null where this process cannot know. */
function isProcessGone(holder: Holder): boolean | null {
  const own = ownIdentity('');
  if (holder.host !== own.host || holder.namespace !== own.namespace) return null;
  // The machine was started anew.
  if (holder.boot !== own.boot) return true;
  // This process holds nothing here, so one with its id is an earlier one.
  if (holder.pid === own.pid) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  return holder.started !== startOf(holder.pid);
}

/** Waits until the lock was not touched for long enough, or is touched. */
async function isSilent(path: string): Promise<boolean> {
  const probe = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    for (let first: number | null = null; ; await sleep(TOUCH_MS / 4)) {
      const touchedMs = (await stat(path)).mtimeMs;
      first ??= touchedMs;
      if (touchedMs !== first) return false;
      // The clock of the disk may be another machine's.
      await writeFile(probe, '');
      if ((await stat(probe)).mtimeMs - touchedMs > SILENT_MS) return true;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

/** Several may find the same lock abandoned: only the one that moved that very lock aside removes it. */
async function removeAbandoned(path: string, judged: Holder | null): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved?.id === judged?.id) await rm(aside, { force: true });
  // Somebody was faster, and this is the new lock: back with it.
  else await rename(aside, path);
}

function busy(path: string, sinkId: string, lockPath: string, other: Holder | null): SightlineError {
  const who = other === null ? 'another process' : `sink ${other.sink} of process ${other.pid} on ${other.host}`;
  return new SightlineError(
    'SINK_BUSY',
    `sink ${sinkId}: ${path} is written by ${who}; stop that one or choose another file (lock: ${lockPath})`,
    { sink: sinkId, path, ...(other === null ? {} : { pid: other.pid, host: other.host }) },
  );
}

function ownIdentity(sink: string): Holder {
  return {
    id: randomUUID(),
    sink,
    pid: process.pid,
    host: hostname(),
    boot: orNull(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    namespace: orNull(() => readlinkSync('/proc/self/ns/pid')),
    started: startOf(process.pid),
  };
}

/** When a process was started, in ticks since the machine was: field 22 of proc(5). */
function startOf(pid: number): string | null {
  return orNull(() => {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  });
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
