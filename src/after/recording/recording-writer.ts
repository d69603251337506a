import type { GapReason } from '../../wire/protocol/packets.ts';
import { type Archive, joinLabels, type RecordingFile } from './archive.ts';
import { type FileHead, FragmentFile } from './fragment-file.ts';
import type { KeptFragment } from './packet-ring.ts';
import { recordingsIn } from './spans.ts';

/** A recording is divided at the first key frame after this time. */
const SEGMENT_MS = 60_000;
/** Bytes of one file that may wait for the disk. */
const MOST_WAITING_BYTES = 32 * 2 ** 20;

/** The disk, as writers see it. */
export interface WriterDisk {
  readonly archive: () => Promise<Archive>;
  /** Why nothing can be written now; null if it can. */
  readonly refusal: () => GapReason | null;
  /** Deletes what is needed least. @returns false if nothing is left to delete. */
  readonly makeRoom: () => Promise<boolean>;
  readonly onFailed: (error: Error) => GapReason;
  readonly onWritten: (bytes: number) => void;
}

interface WriterOptions extends Pick<RecordingFile, 'stream' | 'kind' | 'event'> {
  /** Of a clip: media time that it is to begin at. */
  readonly askedFromUs?: number;
  /** Of a clip: what its pictures must hide; absent if nothing. */
  readonly masks?: FileHead['masks'];
  /** What is missing before the first packets. */
  readonly gap?: GapReason;
}

/**
 * Writes packets of one stream to files, in order, each fragment whole. Never throws: what the disk refuses is a gap. A recording has a file
 * for each minute and after each gap; a clip is one file.
 */
export class RecordingWriter {
  readonly #options: WriterOptions;
  readonly #disk: WriterDisk;
  #file: FragmentFile | null = null;
  #entry: RecordingFile | null = null;
  #finished: RecordingFile | null = null;
  #waitingBytes = 0;
  #work: Promise<void> = Promise.resolve();
  /** Why packets are missing since the last one that was written. */
  #lost: GapReason | null;
  /** Of the events that the file shows; of a clip, the newest. */
  #labels: string | undefined;
  /** A clip cannot go on. */
  #isOver = false;
  /** Why a clip ends earlier than it was to, if it does. */
  lack = 'no more packets came';

  constructor(options: WriterOptions, disk: WriterDisk) {
    this.#options = options;
    this.#disk = disk;
    this.#lost = options.gap ?? null;
  }

  /** @param labels - of the events that it shows, as `labelsText` has them; absent if it shows none. */
  push(kept: KeptFragment, labels?: string): void {
    const bytes = kept.fragment.bytes.length;
    if (this.#waitingBytes + bytes > MOST_WAITING_BYTES) {
      this.#lost ??= 'disk-slow';
      return;
    }
    this.#waitingBytes += bytes;
    this.#work = this.#work.then(async () => {
      await this.#write(kept, labels);
      this.#waitingBytes -= bytes;
    });
  }

  /** Completes the file. Call it last. @returns the newest file; null if nothing was written. */
  end(): Promise<RecordingFile | null> {
    this.#work = this.#work.then(() => this.#finish());
    return this.#work.then(() => this.#finished);
  }

  async #write(kept: KeptFragment, labels: string | undefined): Promise<void> {
    const refusal = this.#disk.refusal();
    if (refusal !== null) this.#lost = refusal;
    if (refusal !== null || this.#isOver || (!kept.fragment.isKey && (this.#file === null || this.#lost !== null)))
      return;
    for (;;) {
      try {
        await this.#place({ ...kept, gap: this.#lost ?? kept.gap }, labels);
        this.#lost = null;
        this.#disk.onWritten(kept.fragment.bytes.length);
        return;
      } catch (thrown) {
        const error = thrown as NodeJS.ErrnoException;
        const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT';
        if (isFull && (await this.#disk.makeRoom())) continue;
        this.#lost = this.#disk.onFailed(error);
        this.lack = 'the disk failed';
        await this.#finish();
        return;
      }
    }
  }

  async #place(kept: KeptFragment, labels: string | undefined): Promise<void> {
    const { kind, askedFromUs, masks, stream, event } = this.#options;
    const { fragment } = kept;
    const startMs = fragment.endMs - Math.round((fragment.endUs - fragment.startUs) / 1000);
    const archive = await this.#disk.archive();
    const isFirst = (): boolean => recordingsIn(archive.files, { stream }).length === 0;
    const gap = kept.gap === 'start' || (kept.gap === 'restart' && isFirst()) ? null : kept.gap;
    if (this.#file !== null && this.#entry !== null) {
      const isDue = fragment.isKey && startMs - this.#entry.startMs >= SEGMENT_MS;
      const isOther = !this.#file.fits(kept);
      if (kind === 'clip' && isOther) this.lack = 'the format of the video changed';
      if (kind === 'clip' ? isOther : gap !== null || isDue) await this.#finish();
    }
    if (this.#isOver) return;
    if (this.#file === null || this.#entry === null) {
      this.#labels = undefined;
      const entry = await archive.begin({
        stream,
        ...(event === undefined ? {} : { event }),
        kind,
        startMs,
        ...(kind === 'clip' || gap === null ? {} : { gap }),
      });
      try {
        this.#file = await FragmentFile.create(entry.path, kept, {
          ...(askedFromUs === undefined ? {} : { askedFromUs }),
          ...(masks === undefined ? {} : { masks }),
        });
        this.#entry = entry;
      } catch (error) {
        await archive.remove(entry);
        throw error;
      }
    }
    await this.#file.append({ ...kept, gap }, labels);
    this.#labels = kind === 'clip' ? labels : joinLabels([this.#labels, labels]);
    this.#entry = archive.grow(this.#entry, fragment.endMs, this.#file.bytes);
  }

  async #finish(): Promise<void> {
    const [file, entry, labels] = [this.#file, this.#entry, this.#labels];
    [this.#file, this.#entry] = [null, null];
    if (file === null || entry === null) return;
    this.#isOver = this.#options.kind === 'clip';
    try {
      await file.close();
      const archive = await this.#disk.archive();
      if (entry.bytes === 0) await archive.remove(entry);
      else this.#finished = await archive.finish(labels === undefined ? entry : { ...entry, labels });
    } catch (error) {
      this.#disk.onFailed(error as Error);
    }
  }
}
