import type { Dirent } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isFolderItself } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { GAP_REASONS, type GapReason } from '../../wire/protocol/packets.ts';
import { OutputLock } from '../sinks/output-lock.ts';
import { recover } from './fragment-file.ts';
import { CLIPS, NAME, PART } from './stored-file.ts';

/** What a file was made for; `events`: of a stream that records around events, or, by earlier versions, of any that shows one. */
type RecordingKind = 'continuous' | 'events' | 'clip';

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
  /** With the pictures and boxes of a clip. */
  readonly bytes: number;
  /** Why packets are missing before it; absent of a clip, and if none are. */
  readonly gap?: GapReason;
  /** Labels of the events that it shows, as `labelsText` has them; absent if it shows none, while it is written, and of earlier versions. */
  readonly labels?: string;
  /** It is being written. */
  readonly isOpen: boolean;
}

/** What is deleted first, and when. */
export interface Retention {
  readonly days: number;
  readonly eventDays: number;
  readonly clipDays: number;
  /** By label of an event, instead of the two before. */
  readonly labelDays: Readonly<Record<string, number>>;
  readonly maxBytes: number;
}

const DAY_MS = 86_400_000;
/** A name of 255 bytes has room for them. */
const MOST_LABEL_CHARS = 120;
/** Stands for labels that are too many. */
const MANY = '=';
const CLIP = /^(\d{1,15})-(\d{1,15})-([0-9a-f]{1,64})(?:=([\w~+=]*))?\.mp4$/;
const PART_CLIP = /^(\d{1,15})-([0-9a-f]{1,64})\.part\.mp4$/;

/** Returns labels as names of files have them, such as `car+person`; empty if there are none. */
export function labelsText(labels: readonly string[]): string {
  return joinLabels(labels.map(escaped)) ?? '';
}

/** Joins labels as `labelsText` returns them. @returns undefined if all are undefined: there is no event. */
export function joinLabels(texts: readonly (string | undefined)[]): string | undefined {
  const known = texts.filter((text) => text !== undefined);
  if (known.length === 0) return undefined;
  const labels = new Set(known.flatMap((text) => text.split('+')).filter((label) => label !== ''));
  const text = [...labels].sort().join('+');
  return text.length > MOST_LABEL_CHARS || labels.has(MANY) ? MANY : text;
}

/** Two labels never become the same. */
function escaped(label: string): string {
  return label.replace(/\W/g, (char) => `~${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Returns what says until when a file is kept, in milliseconds since 1970: of several labels, the longest counts. */
export function keptUntil({ days, eventDays, clipDays, labelDays }: Retention): (file: RecordingFile) => number {
  const daysOf = new Map(Object.entries(labelDays).map(([label, each]) => [escaped(label), each]));
  const longest = Math.max(...daysOf.values());
  const ofEvent = (labels: string, otherDays: number): number =>
    Math.max(
      ...labels
        .split('+')
        .map((label) => (label === MANY ? Math.max(longest, otherDays) : (daysOf.get(label) ?? otherDays))),
    );
  const daysOfFile = ({ kind, labels = '' }: RecordingFile): number =>
    kind === 'clip' ? Math.min(clipDays, ofEvent(labels, clipDays)) : ofEvent(labels, eventDays);
  return (file) => {
    const leastDays = file.kind === 'continuous' ? days : 0;
    return file.endMs + Math.max(leastDays, isOfEvent(file) ? daysOfFile(file) : 0) * DAY_MS;
  };
}

/** Whether a file shows an event, as far as that is known. */
export function isOfEvent({ kind, labels }: Pick<RecordingFile, 'kind' | 'labels'>): boolean {
  return kind !== 'continuous' || labels !== undefined;
}

/** Returns what has to go: too old; then, of too much, what `leastNeeded` has first. */
export function expired(files: readonly RecordingFile[], retention: Retention, nowMs: number): RecordingFile[] {
  const untilMs = keptUntil(retention);
  const isOld = (file: RecordingFile): boolean => !file.isOpen && nowMs > untilMs(file);
  const gone = files.filter(isOld);
  const rest = files.filter((file) => !isOld(file));
  let excess = rest.reduce((sum, { bytes }) => sum + bytes, 0) - retention.maxBytes;
  if (excess <= 0) return gone;
  for (const file of leastNeeded(rest, retention)) {
    if (excess <= 0) break;
    excess -= file.bytes;
    gone.push(file);
  }
  return gone;
}

/** Sorts complete files: recordings without events, those with events, clips; of each, first what would be kept for the shortest time. */
export function leastNeeded(files: readonly RecordingFile[], retention: Retention): RecordingFile[] {
  const untilMs = keptUntil(retention);
  const rank = (file: RecordingFile): number => (file.kind === 'clip' ? 2 : isOfEvent(file) ? 1 : 0);
  return files
    .filter(({ isOpen }) => !isOpen)
    .map((file) => ({ file, rank: rank(file), untilMs: untilMs(file) }))
    .sort((a, b) => a.rank - b.rank || a.untilMs - b.untilMs)
    .map(({ file }) => file);
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

  /** Reads the names in a folder, which need not exist. Links below it, and what is no regular file, are none of its recordings. Writes nothing. */
  static async read(folder: string): Promise<Archive> {
    const archive = new Archive(folder);
    for (const stream of await foldersIn(folder)) {
      const path = join(folder, stream);
      const clips = (await foldersIn(path)).filter((name) => name === CLIPS);
      for (const sub of ['', ...clips])
        await Promise.all(
          (await filesIn(join(path, sub))).map((name) =>
            archive.#add(stream, join(path, sub, name), name, sub === CLIPS),
          ),
        );
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
    if (!(await isFolderItself(dirname(path), this.folder)))
      throw new SightlineError('RECORDING_DAMAGED', `${dirname(path)}: expected a folder, found a link`, { path });
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

  /** Gives a file that is complete its name. */
  async finish(file: RecordingFile): Promise<RecordingFile> {
    const { startMs, endMs, kind, event, gap, labels } = file;
    const what = kind === 'clip' ? event : `${kind}${gap === undefined ? '' : `-${gap}`}`;
    const name = `${startMs}-${endMs}-${what}${labels === undefined ? '' : `=${labels}`}.mp4`;
    const path = join(dirname(file.path), name);
    await rename(file.path, path);
    this.#files.delete(file.path);
    const finished = { ...file, path, isOpen: false };
    this.#files.set(path, finished);
    return finished;
  }

  /** Deletes a file, and of a clip its pictures and boxes as well. */
  async remove({ path }: Pick<RecordingFile, 'path'>): Promise<void> {
    // Behind a link that took the place of its folder are files of somebody else.
    const isHere = await isFolderItself(dirname(path), this.folder).catch(() => false);
    // The video last: after a kill in between, the next sweep finds the rest.
    for (const each of isHere ? filesOf(path).reverse() : [])
      await unlink(each).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    this.#files.delete(path);
  }

  /** Counts the pictures and boxes that a clip has got. If it was deleted meanwhile, they are too. */
  async weigh({ path }: Pick<RecordingFile, 'path'>): Promise<void> {
    const bytes = await bytesOf(path);
    const file = this.#files.get(path);
    if (file === undefined) await this.remove({ path });
    else this.#files.set(path, { ...file, bytes });
  }

  async #add(stream: string, path: string, name: string, isClip: boolean): Promise<void> {
    const whole = (isClip ? CLIP : NAME).exec(name);
    const part = whole === null ? (isClip ? PART_CLIP : PART).exec(name) : null;
    if (whole === null && part === null) return;
    const [{ mtimeMs, size }, allBytes] = await Promise.all([lstat(path), isClip ? bytesOf(path) : 0]);
    const [startMs, endMs] = [Number((whole ?? part)![1]), whole === null ? mtimeMs : Number(whole[2])];
    const [kind, gap] = whole === null ? part!.slice(2) : whole.slice(3);
    const labels = whole?.[isClip ? 4 : 5];
    const known = GAP_REASONS.find((reason) => reason === gap);
    const what = isClip
      ? { kind: 'clip' as const, event: kind! }
      : { kind: kind as RecordingKind, ...(known === undefined ? {} : { gap: known }) };
    const file = { path, stream, ...what, startMs, endMs, bytes: isClip ? allBytes : size, isOpen: whole === null };
    this.#files.set(path, labels === undefined ? file : { ...file, labels });
  }

  async #recover(file: RecordingFile): Promise<void> {
    const index = await recover(file.path);
    const last = index?.fragments.at(-1);
    if (index === null || last === undefined) {
      await rm(file.path, { force: true });
      this.#files.delete(file.path);
      return;
    }
    const labels = file.kind === 'clip' ? last.labels : joinLabels(index.fragments.map((each) => each.labels));
    const whole = { ...file, endMs: last.endMs, bytes: index.wholeBytes };
    const finished = await this.finish(labels === undefined ? whole : { ...whole, labels });
    if (file.kind === 'clip') await this.weigh(finished);
  }
}

/** A clip and what may be beside it. */
function filesOf(clip: string): string[] {
  return [clip, picturePath(clip), picturePath(clip, true), boxesPath(clip)];
}

/** Size of a clip with what is beside it. */
async function bytesOf(clip: string): Promise<number> {
  const sizes = await Promise.all(filesOf(clip).map((path) => lstat(path).catch(() => ({ size: 0 }))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

/** Where the boxes of a clip are. */
export function boxesPath(clip: string): string {
  return picturePath(clip).replace(/jpg$/, 'boxes.json');
}

/** Where the picture of a clip is. @param hasBox - the one with the box of the event's object. */
export function picturePath(clip: string, hasBox = false): string {
  const [times] = basename(clip).split(/[=.]/);
  const event = times!.split('-').at(-1)!;
  return join(dirname(clip), `${event}${hasBox ? '-box' : ''}.jpg`);
}

/** Returns the names of the folders in a folder, without links. @throws RECORDING_DAMAGED */
async function foldersIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Returns the names of the regular files in a folder, without links. @throws RECORDING_DAMAGED */
async function filesIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((entry) => entry.isFile()).map(({ name }) => name);
}

/** None if the folder does not exist. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new SightlineError('RECORDING_DAMAGED', `${folder}: cannot be read: ${message}`, { folder });
  }
}
