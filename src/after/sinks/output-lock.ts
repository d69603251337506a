import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { isDevice, resolveOutput } from './output-names.ts';

/** How often a holder touches its lock file. Used to detect a dead holder if its process cannot be looked up. */
const TOUCH_MS = 1000;
const MOST_LOCK_BYTES = 65_536;
const ABANDONED_MS = 5 * TOUCH_MS;
/** Each attempt ends with another holder or with our own lock; more than a few mean that many processes start at once. */
const MAX_ATTEMPTS = 100;

const holderSchema = z.object({
  id: z.string(),
  sink: z.string(),
  pid: z.number().int(),
  host: z.string(),
  /** Boot id of the machine, process namespace, and start time of the process (process ids are reused); null if unknown. */
  boot: z.string().nullable(),
  namespace: z.string().nullable(),
  started: z.string().nullable(),
});
type Holder = z.infer<typeof holderSchema>;

/** Locks held by this process, by path. The process id in a lock does not show which pipeline of the process holds it. */
const heldHere = new Map<string, Holder>();

/**
 * Exclusive right to write one result file, held as `FILE.lock` beside it. A crashed process leaves its lock behind; the
 * next process sees that the holder is gone and takes the lock over. If it cannot look the holder up (another container or
 * machine), the lock counts as abandoned when it was not touched for five seconds.
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
   * @param sinkId - written to the lock, for the error message of another process.
   * @returns null if the file cannot be locked: a pipe or device, or a folder that we cannot write to. If the result file
   *   cannot be written either, opening it fails later.
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

  /** Releases the lock. Safe to call more than once. */
  async release(): Promise<void> {
    clearInterval(this.#touching);
    if (heldHere.get(this.#path) !== this.#holder) return;
    // Another process may have taken it over while this one was suspended.
    if ((await readHolder(this.#path))?.id === this.#holder.id) await rm(this.#path, { force: true });
    heldHere.delete(this.#path);
  }
}

/** @returns false if the system does not let us create a lock file. */
async function takeFile(path: string, holder: Holder, busyError: (other: Holder | null) => Error): Promise<boolean> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
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
  // On a full disk the file stays empty; others then go by its modification time.
  await handle.writeFile(JSON.stringify(holder)).catch(() => undefined);
  await handle.close();
  return 'made';
}

/** Returns null if the lock is gone or unreadable. */
async function readHolder(path: string): Promise<Holder | null> {
  try {
    return holderSchema.parse(JSON.parse(await readGivenText(path, { code: 'SINK_BUSY', mostBytes: MOST_LOCK_BYTES })));
  } catch {
    return null;
  }
}

async function isAbandoned(path: string, holder: Holder | null): Promise<boolean> {
  const verdict = holder === null ? null : isProcessGone(holder);
  return verdict ?? (await staysUntouched(path));
}

/** Returns null if this process cannot look the holder up. */
function isProcessGone(holder: Holder): boolean | null {
  const own = ownIdentity('');
  if (holder.host !== own.host || holder.namespace !== own.namespace) return null;
  // The machine has rebooted since.
  if (holder.boot !== own.boot) return true;
  // This process does not hold the lock, so an earlier process with the same id did.
  if (holder.pid === own.pid) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  return holder.started !== startOf(holder.pid);
}

/** Waits until the lock is touched (returns false) or has not been touched for `ABANDONED_MS` (returns true). */
async function staysUntouched(path: string): Promise<boolean> {
  const probe = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    for (let first: number | null = null; ; await sleep(TOUCH_MS / 4)) {
      const touchedMs = (await stat(path)).mtimeMs;
      first ??= touchedMs;
      if (touchedMs !== first) return false;
      // The server of a network disk may have another clock, so compare with the time of a new file there.
      await writeFile(probe, '');
      if ((await stat(probe)).mtimeMs - touchedMs > ABANDONED_MS) return true;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

/** Removes an abandoned lock. Several processes may try at once: only the one that renamed that exact lock deletes it. */
async function removeAbandoned(path: string, abandoned: Holder | null): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved?.id === abandoned?.id) await rm(aside, { force: true });
  // Another process was faster, and this is its new lock: put it back.
  else await rename(aside, path);
}

function busy(path: string, sinkId: string, lockPath: string, other: Holder | null): SightlineError {
  const isOwn = other !== null && heldHere.get(lockPath)?.id === other.id;
  const where = isOwn ? 'this process' : `process ${other?.pid} on ${other?.host}`;
  const who = other === null ? 'another process' : `sink ${other.sink} of ${where}`;
  return new SightlineError(
    'SINK_BUSY',
    `sink ${sinkId}: ${path} is written by ${who}; ${isOwn ? '' : 'stop that one or '}choose another file (lock: ${lockPath})`,
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

/**
 * Returns when a process was started, in clock ticks since boot: field 22 of /proc/PID/stat, see proc(5). Null for a zombie, which
 * can write nothing any more; but while a thread of it still ends (field 20), a write may be on its way.
 */
function startOf(pid: number): string | null {
  return orNull(() => {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    const [state, threads, started] = [fields[0], fields[17], fields[19]];
    return state === 'Z' && Number(threads) < 2 ? null : (started ?? null);
  });
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
