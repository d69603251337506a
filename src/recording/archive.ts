import { mkdir, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SightlineError } from '../errors/sightline-error.ts';
import { GAP_REASONS, type GapReason } from '../protocol/packets.ts';
import { OutputLock } from '../sinks/output-lock.ts';
import { recover } from './fragment-file.ts';

/** What a file is kept for. Those of events are kept longer. */
const RECORDING_KINDS = ['continuous', 'events', 'clip'] as const;
export type RecordingKind = (typeof RECORDING_KINDS)[number];

/** One file of the archive. */
export interface RecordingFile {
  readonly path: string;
  readonly stream: string;
  readonly kind: RecordingKind;
  /** Id of the event; only of a clip. */
  readonly event?: string;
  /** Wall clock, milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly bytes: number;
  /** Why packets are missing before it; absent of a clip, and if none are. */
  readonly gap?: GapReason;
  /** It is being written. */
  readonly isOpen: boolean;
}

/** What is deleted first, and when. */
export interface Retention {
  readonly days: number;
  readonly eventDays: number;
  readonly clipDays: number;
  readonly maxBytes: number;
}

const DAY_MS = 86_400_000;
const NAME = /^(\d{1,15})-(\d{1,15})-(continuous|events)(?:-([a-z-]+))?\.mp4$/;
const PART = /^(\d{1,15})-(continuous|events)(?:-([a-z-]+))?\.part\.mp4$/;
const CLIP = /^(\d{1,15})-(\d{1,15})-([0-9a-f]{1,64})\.mp4$/;
const PART_CLIP = /^(\d{1,15})-([0-9a-f]{1,64})\.part\.mp4$/;
const CLIPS = 'clips';

/** Returns what has to go, in this order: too old; then, of too much, the oldest recordings, those of events, clips. */
export function expired(
  files: readonly RecordingFile[],
  { days, eventDays, clipDays, maxBytes }: Retention,
  nowMs: number,
): RecordingFile[] {
  const daysOf = { continuous: days, events: eventDays, clip: clipDays };
  const isOld = ({ kind, endMs, isOpen }: RecordingFile): boolean => !isOpen && nowMs - endMs > daysOf[kind] * DAY_MS;
  const gone = files.filter(isOld);
  const rest = files.filter((file) => !isOld(file));
  let excess = rest.reduce((sum, { bytes }) => sum + bytes, 0) - maxBytes;
  if (excess <= 0) return gone;
  for (const file of oldestFirst(rest.filter(({ isOpen }) => !isOpen))) {
    if (excess <= 0) break;
    excess -= file.bytes;
    gone.push(file);
  }
  return gone;
}

/** Those that are kept for nothing in particular come first. */
export function oldestFirst(files: readonly RecordingFile[]): RecordingFile[] {
  const rank = ({ kind }: RecordingFile): number => RECORDING_KINDS.indexOf(kind);
  return files.toSorted((a, b) => rank(a) - rank(b) || a.startMs - b.startMs);
}

/** The recordings of a host, in one folder: a folder for each stream, whose file names say what they hold. */
export class Archive {
  readonly folder: string;
  readonly #files = new Map<string, RecordingFile>();
  #lock: OutputLock | null = null;
  #locking: Promise<void> | null = null;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Reads the names in a folder, which need not exist. Writes nothing. */
  static async read(folder: string): Promise<Archive> {
    const archive = new Archive(folder);
    for (const stream of await names(folder)) {
      for (const sub of ['', CLIPS]) {
        const path = join(folder, stream, sub);
        await Promise.all(
          (await names(path)).map((name) => archive.#add(stream, join(path, name), name, sub === CLIPS)),
        );
      }
    }
    return archive;
  }

  /** Takes the folder for writing: makes whole what an earlier process left. @throws SINK_BUSY if another process has it */
  lock(): Promise<void> {
    this.#locking ??= this.#take().catch((error: unknown) => {
      this.#locking = null;
      throw error;
    });
    return this.#locking;
  }

  async #take(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    // No stream has a name with a plus.
    this.#lock = await OutputLock.take(join(this.folder, '+recordings'), 'recording');
    for (const file of this.files) if (file.isOpen) await this.#recover(file);
  }

  async close(): Promise<void> {
    await this.#lock?.release();
  }

  get files(): RecordingFile[] {
    return [...this.#files.values()];
  }

  get bytes(): number {
    return this.files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  clipOf(event: string): RecordingFile | undefined {
    return this.files.find((file) => file.event === event);
  }

  /** Names a new file, which the caller creates. Its folder exists then. */
  async begin(file: Pick<RecordingFile, 'stream' | 'kind' | 'event' | 'startMs' | 'gap'>): Promise<RecordingFile> {
    const { stream, kind, event, startMs, gap } = file;
    await this.lock();
    const name = kind === 'clip' ? `${startMs}-${event}` : `${startMs}-${kind}${gap === undefined ? '' : `-${gap}`}`;
    const path = join(this.folder, stream, kind === 'clip' ? CLIPS : '', `${name}.part.mp4`);
    await mkdir(dirname(path), { recursive: true });
    const begun = { ...file, path, endMs: startMs, bytes: 0, isOpen: true };
    this.#files.set(path, begun);
    return begun;
  }

  /** Says how far a file is written. */
  grow(file: RecordingFile, endMs: number, bytes: number): RecordingFile {
    const grown = { ...file, endMs, bytes };
    if (this.#files.has(file.path)) this.#files.set(file.path, grown);
    return grown;
  }

  /** Gives a file that is complete its name. @param kind - what it turned out to be kept for. */
  async finish(file: RecordingFile, kind: RecordingKind = file.kind): Promise<RecordingFile> {
    const { startMs, endMs, event, gap } = file;
    const end = kind === 'clip' ? event : `${kind}${gap === undefined ? '' : `-${gap}`}`;
    const path = join(dirname(file.path), `${startMs}-${endMs}-${end}.mp4`);
    await rename(file.path, path);
    this.#files.delete(file.path);
    const finished = { ...file, path, kind, isOpen: false };
    this.#files.set(path, finished);
    return finished;
  }

  /** Deletes a file, and of a clip its pictures and boxes as well. */
  async remove({ path }: RecordingFile): Promise<void> {
    for (const each of [path, picturePath(path), picturePath(path, true), boxesPath(path)])
      await unlink(each).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    this.#files.delete(path);
  }

  async #add(stream: string, path: string, name: string, isClip: boolean): Promise<void> {
    const [whole, part] = isClip ? [CLIP.exec(name), PART_CLIP.exec(name)] : [NAME.exec(name), PART.exec(name)];
    if (whole === null && part === null) return;
    const { size: bytes, mtimeMs } = await stat(path);
    const [startMs, endMs] = [Number((whole ?? part)![1]), whole === null ? mtimeMs : Number(whole[2])];
    const [kind, gap] = whole === null ? part!.slice(2) : whole.slice(3);
    const known = GAP_REASONS.find((reason) => reason === gap);
    const what = isClip
      ? { kind: 'clip' as const, event: kind! }
      : { kind: kind as RecordingKind, ...(known === undefined ? {} : { gap: known }) };
    this.#files.set(path, { path, stream, ...what, startMs, endMs, bytes, isOpen: whole === null });
  }

  async #recover(file: RecordingFile): Promise<void> {
    const index = await recover(file.path);
    const last = index?.fragments.at(-1);
    if (index === null || last === undefined) {
      await rm(file.path, { force: true });
      this.#files.delete(file.path);
      return;
    }
    await this.finish({ ...file, endMs: last.endMs, bytes: index.wholeBytes });
  }
}

/** Where the boxes of a clip are. */
export function boxesPath(clip: string): string {
  return picturePath(clip).replace(/jpg$/, 'boxes.json');
}

/** Where the picture of a clip is. @param hasBox - the one with the box of the event's object. */
export function picturePath(clip: string, hasBox = false): string {
  const event = basename(clip)
    .split('-')
    .at(-1)!
    .replace(/\.(?:part\.)?mp4$/, '');
  return join(dirname(clip), `${event}${hasBox ? '-box' : ''}.jpg`);
}

/** Returns the names in a folder; none if it does not exist. @throws RECORDING_DAMAGED */
async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new SightlineError('RECORDING_DAMAGED', `${folder}: cannot be read: ${message}`, { folder });
  }
}
