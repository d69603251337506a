import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { OutputLock } from '../../../after/sinks/output-lock.ts';
import { type Clock, systemClock } from '../../../base/core/clock.ts';
import { isMissing, MOST_BYTES, readGivenText } from '../../../base/disk/given-file.ts';
import { removeTemporaries, replaceFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { faultsText, inspect } from '../../../settings/config/check.ts';
import { type Overlay, type OverlayEntry, overlayStreams } from './overlay.ts';

const overlayContent = z.strictObject({
  version: z.literal(1),
  /** Name and path of the pipeline file, for people. */
  pipeline: z.string(),
  path: z.string(),
  streams: overlayStreams,
});

/** A client does not wait longer than this for a disk that does not answer. */
const ANSWER_MS = 5_000;
const RETRY_MS = 10_000;

export interface OverlayPlace {
  /** Name of the pipeline, and path of its file. */
  readonly pipeline: string;
  readonly pipelinePath: string;
  readonly cacheDir: string;
}

export interface OverlayFileOptions extends OverlayPlace {
  readonly clock?: Clock;
}

/** What happened to the file since the last call of `onTrouble`: null if it is written again. */
export type OverlayListener = (problem: string | null) => void;

/**
 * Returns the path of a pipeline's overlay. It lies beside the other state of the pipeline, since the folder of the file itself is
 * often read-only. Links are not resolved: some systems exchange what a mounted path leads to with each version.
 */
export function overlayPath({ pipeline, pipelinePath, cacheDir }: OverlayPlace): string {
  const hash = createHash('sha256').update(resolve(pipelinePath)).digest('hex').slice(0, 8);
  return join(cacheDir, 'overlays', `${encodeURIComponent(pipeline)}-${hash}.json`);
}

/** Reads an overlay without changing anything. @throws CONFIG_INVALID if it is damaged or cannot be read. */
export async function readOverlay(place: OverlayPlace): Promise<Overlay> {
  const path = overlayPath(place);
  let text: string;
  try {
    text = await readGivenText(path, { code: 'CONFIG_INVALID', as: `overlay ${path}`, mostBytes: MOST_BYTES.settings });
  } catch (error) {
    if (isMissing(error)) return {};
    throw error;
  }
  const damaged = (message: string): SightlineError =>
    new SightlineError('CONFIG_INVALID', message, { path, problem: 'damaged' });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's own message would quote the file, and with it perhaps a password.
    throw damaged(`overlay ${path}: expected JSON, and it is cut off or damaged`);
  }
  const { data, faults } = inspect(overlayContent, content);
  if (data === undefined) throw damaged(`overlay ${path}: ${faultsText(faults)}`);
  return data.streams;
}

/**
 * The overlay of a pipeline on disk. One process of a pipeline keeps it; others of the same file read it and keep nothing. What
 * cannot be written takes effect all the same, and is written with a later change or attempt.
 */
export class OverlayFile {
  readonly path: string;
  /** What was wrong when it was opened, a sentence each. */
  readonly notices: readonly string[];
  readonly #options: OverlayFileOptions;
  readonly #clock: Clock;
  readonly #lock: OutputLock | null;
  /** Why this process never writes the file; null if it does. */
  readonly #refusal: string | null;
  #streams: Record<string, OverlayEntry>;
  #isDirty = false;
  #writing: Promise<void> | null = null;
  #failure: string | null = null;
  #listener: OverlayListener = () => undefined;
  #cancelRetry: () => void = () => undefined;

  private constructor(options: OverlayFileOptions, opened: OpenedOverlay) {
    this.path = overlayPath(options);
    this.notices = opened.notices;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#lock = opened.lock;
    this.#refusal = opened.refusal;
    this.#streams = { ...opened.streams };
  }

  /** Never rejects: a damaged file is kept aside, and the pipeline starts without it. */
  static async open(options: OverlayFileOptions): Promise<OverlayFile> {
    return new OverlayFile(options, await openOverlay(options));
  }

  get streams(): Overlay {
    return this.#streams;
  }

  /** Why changes made now do not survive a restart, in one sentence; null if they do. */
  get problem(): string | null {
    return this.#refusal ?? this.#failure;
  }

  /** @param listener - called when the file cannot be written, and when it can be again. */
  onTrouble(listener: OverlayListener): void {
    this.#listener = listener;
  }

  /** Sets how a stream differs from the pipeline file; undefined: it does not. */
  set(id: string, entry: OverlayEntry | undefined): void {
    if (entry === undefined) delete this.#streams[id];
    else this.#streams[id] = entry;
  }

  /** Resolves when what was set is on the disk, or when it is known that it is not: see `problem`. */
  async save(): Promise<void> {
    if (this.#refusal !== null) return;
    this.#isDirty = true;
    this.#writing ??= this.#writeAll();
    await new Promise<void>((settle) => {
      const cancel = this.#clock.setTimer(() => {
        this.#fail(`the disk has not answered for ${ANSWER_MS / 1000} s`);
        settle();
      }, ANSWER_MS);
      void this.#writing!.then(() => {
        cancel();
        settle();
      });
    });
  }

  /** Tries a last time to write what is not on the disk yet, and lets other processes keep the file. */
  async close(): Promise<void> {
    this.#cancelRetry();
    if (this.#isDirty) await this.save();
    this.#cancelRetry();
    await this.#lock?.release();
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    this.#cancelRetry();
    while (this.#isDirty) {
      this.#isDirty = false;
      try {
        await this.#write();
        this.#succeed();
      } catch (error) {
        this.#isDirty = true;
        this.#fail((error as Error).message);
        break;
      }
    }
    this.#writing = null;
    if (!this.#isDirty) return;
    this.#cancelRetry = this.#clock.setTimer(() => void this.save(), RETRY_MS);
  }

  async #write(): Promise<void> {
    const { pipeline, pipelinePath } = this.#options;
    const content = { version: 1, pipeline, path: resolve(pipelinePath), streams: this.#streams };
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    // Addresses of cameras hold passwords.
    await replaceFile(this.path, (temporaryPath) =>
      writeFile(temporaryPath, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' }),
    );
  }

  #fail(why: string): void {
    const isNew = this.#failure === null;
    this.#failure = `${this.path} cannot be written: ${why}`;
    if (isNew) this.#listener(this.#failure);
  }

  #succeed(): void {
    if (this.#failure === null) return;
    this.#failure = null;
    this.#listener(null);
  }
}

interface OpenedOverlay {
  readonly streams: Overlay;
  readonly lock: OutputLock | null;
  readonly refusal: string | null;
  readonly notices: readonly string[];
}

async function openOverlay(place: OverlayPlace): Promise<OpenedOverlay> {
  const path = overlayPath(place);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch(() => undefined);
  let lock: OutputLock | null = null;
  let refusal: string | null = null;
  try {
    lock = await OutputLock.take(path, 'overlay');
    await removeTemporaries(path);
  } catch (thrown) {
    const { pid, host } = SightlineError.from(thrown, 'SINK_BUSY').details;
    const who = pid === undefined ? 'another process' : `process ${pid} on ${host}`;
    refusal = `${who} runs the same pipeline file and keeps ${path}`;
  }
  const notices: string[] = [];
  let streams: Overlay = {};
  try {
    streams = await readOverlay(place);
  } catch (thrown) {
    const { message, details } = SightlineError.from(thrown, 'CONFIG_INVALID');
    const kept = details.problem === 'damaged' && refusal === null ? await setAside(path) : null;
    notices.push(
      `${message}; ${kept === null ? 'it is not used' : `it is kept as ${kept}`}, and the pipeline file applies alone`,
    );
    // Writing would destroy what a person may still be able to read.
    if (kept === null) refusal ??= `${path} cannot be used, and is left as it is`;
  }
  if (refusal !== null) notices.push(`${refusal}: changes of streams made here end with this process`);
  return { streams, lock, refusal, notices };
}

/** @returns where the damaged file is now; null if it cannot be moved. */
async function setAside(path: string): Promise<string | null> {
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const kept = path.replace(/\.json$/, `.damaged-${time}.json`);
  return rename(path, kept).then(
    () => kept,
    () => null,
  );
}
