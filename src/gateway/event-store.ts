import { isMissing, MOST_BYTES, openGiven } from '../disk/given-file.ts';
import { readLines } from '../disk/read-lines.ts';
import { KeyedMutex } from '../flow/keyed-mutex.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import { besidePath, KeptLines, olderPath } from '../sinks/kept-lines.ts';

/** Events of each kind in memory. */
const KEPT_OF_KIND = 250;
/** Share of a list that events of one kind take while there are enough others. */
const SHARE_OF_KIND = 1 / 4;
/** A single camera at a busy door has thousands a day. They have a file of their own. */
const FREQUENT: ReadonlySet<EventKind> = new Set(['line-crossed']);

/** What to look for; every condition that is given must hold. */
export interface EventQuery {
  readonly stream?: string | undefined;
  readonly kinds?: readonly EventKind[] | undefined;
  /** Part of the message, the stream or the kind, in any case of letters. */
  readonly text?: string | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly limit: number;
}

export interface EventFiles {
  /** A `.jsonl` file; crossings of lines are in another one, whose name ends in `-crossings.jsonl`. */
  readonly path: string;
  /** Most bytes of all files together. */
  readonly maxBytes: number;
  readonly onNotice: (text: string) => void;
}

/**
 * The events of a gateway. The newest of each kind are in memory, so that no kind pushes out another; with files, all are on disk
 * until these are full, and survive a restart.
 */
export class EventStore {
  readonly #recent = new Map<EventKind, EventMessage[]>();
  readonly #mutex = new KeyedMutex();
  #files: { readonly paths: readonly string[]; readonly rare: KeptLines; readonly frequent: KeptLines } | null = null;
  /** Events that came while the files were read; null when they have been written. */
  #early: EventMessage[] | null = [];

  /** Reads what earlier runs left, and writes from now on. A file that cannot be read is left out. */
  async open({ path, maxBytes, onNotice }: EventFiles): Promise<void> {
    const crossings = besidePath(path, 'crossings');
    const paths = [path, crossings].flatMap((each) => [olderPath(each), each]);
    const before = new Map<EventKind, EventMessage[]>();
    await scan(
      paths,
      () => true,
      (event) => put(before, event, KEPT_OF_KIND),
      onNotice,
    );
    for (const events of this.#recent.values()) for (const event of events) put(before, event, KEPT_OF_KIND);
    for (const [kind, events] of before) this.#recent.set(kind, events);
    const options = { name: 'the file of events', maxBytes: maxBytes / 2, onNotice };
    const files = {
      paths,
      rare: new KeptLines({ ...options, path }),
      frequent: new KeptLines({ ...options, path: crossings }),
    };
    this.#files = files;
    for (const event of this.#early ?? []) this.#write(event);
    this.#early = null;
  }

  add(event: EventMessage): void {
    put(this.#recent, event, KEPT_OF_KIND);
    if (this.#files !== null) this.#write(event);
    else if (this.#early !== null) {
      this.#early.push(event);
      if (this.#early.length > KEPT_OF_KIND) this.#early.shift();
    }
  }

  #write(event: EventMessage): void {
    const { rare, frequent } = this.#files!;
    (FREQUENT.has(event.kind) ? frequent : rare).add(event);
  }

  /** Returns the newest events that match, newest last. Without `kinds`, no kind takes more than a quarter while there are others. */
  async find(query: EventQuery): Promise<EventMessage[]> {
    const found = new Map<EventKind, EventMessage[]>();
    const seen = new Set<string>();
    const take = (event: EventMessage): void => {
      if (!matches(event, query)) return;
      const key = JSON.stringify(event);
      // What is in memory is on disk as well, unless it waits to be written.
      if (!seen.has(key)) put(found, event, query.limit);
      seen.add(key);
    };
    const isFiltered = [query.stream, query.kinds, query.text, query.sinceMs].some((each) => each !== undefined);
    const files = this.#files;
    // One search at a time: each reads megabytes.
    if (files !== null && isFiltered)
      await this.#mutex.run('search', async () => {
        await Promise.all([files.rare.flush(), files.frequent.flush()]);
        await scan(files.paths, mayMatch(query), take, () => undefined);
      });
    for (const events of this.#recent.values()) events.forEach(take);
    return fairShare(found, query.limit);
  }

  async close(): Promise<void> {
    await Promise.all([this.#files?.rare.close(), this.#files?.frequent.close()]);
  }
}

function put(into: Map<EventKind, EventMessage[]>, event: EventMessage, most: number): void {
  const events = into.get(event.kind);
  if (events === undefined) into.set(event.kind, [event]);
  else if (events.push(event) > most) events.shift();
}

/** Takes the newest events of every kind, each up to its share, and fills the rest with the newest others. */
function fairShare(byKind: ReadonlyMap<EventKind, readonly EventMessage[]>, limit: number): EventMessage[] {
  const newestFirst = (events: EventMessage[]): EventMessage[] => events.sort((a, b) => b.timeMs - a.timeMs);
  const share = byKind.size === 1 ? limit : Math.ceil(limit * SHARE_OF_KIND);
  const kinds = [...byKind.values()].map((events) => newestFirst([...events]));
  const first = newestFirst(kinds.flatMap((events) => events.slice(0, share))).slice(0, limit);
  const rest = newestFirst(kinds.flatMap((events) => events.slice(share))).slice(0, limit - first.length);
  return newestFirst([...first, ...rest]).reverse();
}

function matches(event: EventMessage, { stream, kinds, text, sinceMs }: EventQuery): boolean {
  return (
    (stream === undefined || event.stream === stream) &&
    (kinds === undefined || kinds.includes(event.kind)) &&
    (sinceMs === undefined || event.timeMs >= sinceMs) &&
    (text === undefined ||
      `${event.stream ?? ''} ${event.kind} ${event.host ?? ''} ${event.message}`
        .toLowerCase()
        .includes(text.toLowerCase()))
  );
}

/** A quick check of a line before it is parsed. */
function mayMatch({ stream, kinds }: EventQuery): (line: string) => boolean {
  const parts = kinds?.map((kind) => `"kind":"${kind}"`);
  return (line) =>
    (stream === undefined || line.includes(JSON.stringify(stream))) &&
    (parts === undefined || parts.some((part) => line.includes(part)));
}

/** Reads events, oldest first in each file. Yields to other work after every block. */
async function scan(
  paths: readonly string[],
  mayHold: (line: string) => boolean,
  onEvent: (event: EventMessage) => void,
  onNotice: (text: string) => void,
): Promise<void> {
  for (const path of paths) {
    try {
      await scanFile(path, (line) => {
        const event = line !== '' && mayHold(line) ? eventOf(line) : null;
        if (event !== null) onEvent(event);
      });
    } catch (error) {
      if (!isMissing(error)) onNotice(`the file of events ${path} cannot be read: ${(error as Error).message}`);
    }
  }
}

async function scanFile(path: string, onLine: (line: string) => void): Promise<void> {
  const { handle } = await openGiven(path, { code: 'CONFIG_INVALID', mostBytes: MOST_BYTES.json });
  try {
    for await (const { bytes } of readLines(handle)) onLine(bytes.toString());
  } finally {
    await handle.close();
  }
}

/** Null for a line that is no event, as after a power failure. */
function eventOf(line: string): EventMessage | null {
  try {
    const value = JSON.parse(line) as Partial<EventMessage> | null;
    const isEvent =
      typeof value?.timeMs === 'number' && typeof value.kind === 'string' && typeof value.message === 'string';
    return isEvent ? (value as EventMessage) : null;
  } catch {
    return null;
  }
}
