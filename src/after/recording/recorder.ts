import { existsSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import type { Clock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { MIB } from '../../base/disk/given-file.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { hasClips, type StreamConfig, tapsPackets } from '../../settings/config/stream.ts';
import type { GapReason, StreamPackets } from '../../wire/protocol/packets.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import {
  Archive,
  expired,
  keptUntil,
  leastNeeded,
  picturePath,
  type RecordingFile,
  type Retention,
} from './archive.ts';
import { keepPicture, snapshotOf } from './clip-picture.ts';
import { readIndex, summaryOf } from './fragment-file.ts';
import type { WriterDisk } from './recording-writer.ts';
import { type OpenTarget, Restream } from './restream.ts';
import { type ClipEnd, MOST_CLIPS, StreamRecorder } from './stream-recorder.ts';

const SWEEP_MS = 60_000;
/** After a failure, nothing is written for this long. */
const RETRY_MS = 10_000;
/** A full disk gets so much room at once. */
const ROOM_BYTES = 16 * MIB;

export interface RecorderOptions {
  readonly folder: string;
  /** Most bytes of packets in memory, for each stream. */
  readonly ringBytes: number;
  readonly retention: Retention;
  readonly ffmpeg: Ffmpeg;
  /** Settings of a stream that runs; null if there is none. */
  readonly configOf: (stream: string) => StreamConfig | null;
  /** Recording stopped, with the reason, or goes on: null. */
  readonly onState: (problem: string | null) => void;
  readonly onNotice: (stream: string, text: string) => void;
  /** The picture of an event is there, or it will have none: null. @param event - its newest record. */
  readonly onPicture?: (event: RuleEvent, snapshot: (() => Promise<Buffer>) | null) => void;
  /** Opens a media server within the rules of its stream. */
  readonly openTarget: (address: string, stream: string) => ReturnType<OpenTarget>;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

/** What a recorder has done. */
export interface RecordingFigures {
  /** Of all files. */
  readonly bytes: number;
  readonly files: number;
  /** Of packets in memory. */
  readonly memoryBytes: number;
  readonly writtenBytes: number;
  /** Files that were deleted, for their age or for room. */
  readonly deleted: number;
  /** Who watches live; playlists count as one. */
  readonly viewers: number;
  /** Frames that slow ones did not get. */
  readonly skippedFrames: number;
  /** Why nothing is recorded now; null if nothing is wrong. */
  readonly problem: string | null;
}

/** Keeps clips and recordings of the streams of a host. Nothing that is wrong with the disk reaches a stream. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #streams = new Map<string, StreamRecorder>();
  #archive: Promise<Archive> | null = null;
  #known: Archive | null = null;
  #problem: { readonly text: string; readonly reason: GapReason; readonly retryMs: number } | null = null;
  #writtenBytes = 0;
  #deleted = 0;
  /** Counted by those who send live video. */
  skippedFrames = 0;
  readonly #unfinished = new Set<string>();
  /** Pictures are made one after the other. */
  #pictures: Promise<void> = Promise.resolve();
  #sweeping: Promise<void> = Promise.resolve();
  #cancelSweep: () => void = () => {};

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#scheduleSweep();
  }

  /** What is on disk. Its folder is made when something is written first. */
  archive(): Promise<Archive> {
    this.#archive ??= Archive.read(this.#options.folder).then(
      (archive) => {
        this.#known = archive;
        return archive;
      },
      (error: unknown) => {
        this.#archive = null;
        throw error;
      },
    );
    return this.#archive;
  }

  /** Until when a file is kept, milliseconds since 1970, if there is room. */
  keptUntilMs(file: RecordingFile): number {
    return keptUntil(this.#options.retention)(file);
  }

  get figures(): RecordingFigures {
    const streams = [...this.#streams.values()];
    const files = this.#known?.files ?? [];
    return {
      bytes: this.#known?.bytes ?? 0,
      files: files.length,
      memoryBytes: streams.reduce((sum, { ring }) => sum + ring.bytes, 0),
      writtenBytes: this.#writtenBytes,
      deleted: this.#deleted,
      viewers: streams.reduce((sum, { viewers }) => sum + viewers.size, 0),
      skippedFrames: this.skippedFrames,
      problem: this.problem,
    };
  }

  /** Why no clip and no recording is kept now, with the folder; null if nothing is wrong. */
  get problem(): string | null {
    return this.#problem?.text ?? null;
  }

  onPackets(packets: StreamPackets): void {
    const { stream } = packets;
    const config = this.#options.configOf(stream);
    let recorder = this.#streams.get(stream);
    if (recorder === undefined) {
      if (config === null) return;
      recorder = this.#newStream(config);
      this.#streams.set(stream, recorder);
    } else if (packets.type === 'packets-opened' && config !== null) recorder.settings = config;
    else if (config !== null) recorder.masks = config.masks;
    this.#setRestream(recorder, config);
    recorder.onPackets(packets);
  }

  /** Takes the result of a frame. Those of the first group of pictures come before its packets. */
  onFrame(frame: PublishedFrame): void {
    const recorder = this.#streams.get(frame.streamId) ?? this.#beforePackets(frame.streamId);
    recorder?.onFrame(frame);
  }

  #beforePackets(id: string): StreamRecorder | null {
    const config = this.#options.configOf(id);
    return config !== null && hasClips(config) ? this.streamOf(id) : null;
  }

  /** What keeps the packets of a stream; null if nothing asks for them. */
  streamOf(id: string): StreamRecorder | null {
    const config = this.#options.configOf(id);
    if (config === null || !tapsPackets(config)) return null;
    // Its first packets come once the first group of pictures is over.
    const recorder = this.#streams.get(id) ?? this.#newStream(config);
    this.#streams.set(id, recorder);
    return recorder;
  }

  /** Looks whether a stream is pushed to where its settings say. */
  follow(id: string): void {
    const config = this.#options.configOf(id);
    const recorder = this.#streams.get(id) ?? (config?.restream === undefined ? null : this.streamOf(id));
    if (recorder !== null) this.#setRestream(recorder, config);
  }

  /** How a stream is pushed, for its report. */
  figuresOf(id: string): Pick<StreamReport, 'restream'> {
    const restream = this.#streams.get(id)?.restream;
    return restream == null ? {} : { restream: restream.figures };
  }

  #setRestream(recorder: StreamRecorder, config: StreamConfig | null): void {
    // Masks may have come with a change that no packet follows.
    const to = config !== null && tapsPackets(config) ? config.restream : undefined;
    if (recorder.restream?.address === to) return;
    void recorder.restream?.close();
    const { ffmpeg, clock, openTarget, onNotice } = this.#options;
    const options = {
      ffmpeg,
      clock,
      openTarget: (address: string) => openTarget(address, config!.id),
      onNotice: (text: string) => onNotice(config!.id, text),
    };
    recorder.restream = to === undefined ? null : new Restream(to, options, recorder.pushed);
  }

  /** Takes each record of an event. */
  onEvent(event: RuleEvent): void {
    const config = this.#options.configOf(event.stream);
    const recorder = this.#streams.get(event.stream) ?? this.streamOf(event.stream);
    if (recorder !== null && config !== null) recorder.settings = config;
    recorder?.onEvent(event);
  }

  /** Returns the picture of an event whose clip an earlier process began; null if there is none. */
  async snapshotOf(event: RuleEvent): Promise<Buffer | null> {
    try {
      const archive = await this.archive();
      await archive.lock();
      const clip = archive.clipOf(event.id);
      if (clip === undefined || clip.isOpen) return null;
      await this.remakePicture(event, clip);
      return await snapshotOf(clip.path);
    } catch {
      return null;
    }
  }

  /** A stream is paused, over or removed. */
  async onStopped(stream: string, isGone: boolean): Promise<void> {
    const recorder = this.#streams.get(stream);
    if (isGone) this.#streams.delete(stream);
    await recorder?.flush('reopened');
    if (isGone) await recorder?.restream?.close();
  }

  /** Deletes what is too old or too much. */
  sweep(): Promise<void> {
    this.#sweeping = this.#sweeping
      .then(() => this.#sweep())
      .catch((error: unknown) => void this.#onFailed(error as Error));
    return this.#sweeping;
  }

  async close(): Promise<void> {
    this.#cancelSweep();
    await Promise.all([...this.#streams.keys()].map((stream) => this.onStopped(stream, true)));
    await this.#pictures;
    await this.#sweeping;
    await this.#known?.close();
  }

  #newStream(config: StreamConfig): StreamRecorder {
    const { ringBytes, clock } = this.#options;
    const disk: WriterDisk = {
      archive: () => this.archive(),
      refusal: () => this.#refusal(),
      makeRoom: () => this.#makeRoom(),
      onFailed: (error) => this.#onFailed(error),
      onWritten: (bytes) => {
        this.#writtenBytes += bytes;
        this.#onRecovered();
      },
    };
    return new StreamRecorder(config, {
      stream: config.id,
      ringBytes,
      disk,
      clock,
      gap: 'restart',
      unfinished: this.#unfinished,
      onClip: (...clip) => this.#onClip(...clip),
      onRefused: (event) => {
        const text = `it has no clip, since ${MOST_CLIPS} others of its stream are being written`;
        this.#options.onNotice(event.stream, `event ${event.id}: ${text}`);
        this.#options.onPicture?.(event, null);
      },
    });
  }

  #refusal(): GapReason | null {
    const problem = this.#problem;
    return problem === null || this.#options.clock.now() >= problem.retryMs ? null : problem.reason;
  }

  #onFailed(error: Error): GapReason {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    const reason: GapReason = code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'disk-failed';
    const text = `no clip and no recording is kept: ${this.#options.folder}: ${error.message}`;
    if (this.#problem === null) this.#options.onState(text);
    this.#problem = { text, reason, retryMs: this.#options.clock.now() + RETRY_MS };
    return reason;
  }

  #onRecovered(): void {
    if (this.#problem === null) return;
    this.#problem = null;
    this.#options.onState(null);
  }

  /** Clips may not be written for hours, so that no write finds that a disk has room again. */
  async #lookForRoom(): Promise<void> {
    if (this.#problem?.reason !== 'disk-full') return;
    const { bavail, bsize } = await statfs(this.#options.folder).catch(() => ({ bavail: 0, bsize: 0 }));
    if (bavail * bsize >= ROOM_BYTES) this.#onRecovered();
  }

  async #makeRoom(): Promise<boolean> {
    const archive = await this.archive();
    let bytes = 0;
    for (const file of leastNeeded(archive.files, this.#options.retention)) {
      if (bytes >= ROOM_BYTES) break;
      await archive.remove(file);
      this.#deleted += 1;
      bytes += file.bytes;
    }
    return bytes > 0;
  }

  async #sweep(): Promise<void> {
    const { folder, retention, wallMs } = this.#options;
    const isThere = await stat(folder).catch(() => null);
    if (isThere === null) return;
    const archive = await this.archive();
    await archive.lock();
    for (const file of expired(archive.files, retention, wallMs())) {
      await archive.remove(file);
      this.#deleted += 1;
    }
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.setTimer(() => {
      void this.sweep();
      void this.#lookForRoom();
      this.#scheduleSweep();
    }, SWEEP_MS);
  }

  /** Makes the pictures of a clip that has none, since its host was killed before. Without its stream nobody knows what they must hide. */
  remakePicture(event: RuleEvent, { path }: RecordingFile): Promise<void> {
    const { ffmpeg, configOf } = this.#options;
    const masks = configOf(event.stream)?.masks;
    this.#pictures = this.#pictures
      .then(async () => {
        // A mask that came and went while the event lasted is known to the one who makes its clip.
        if (masks === undefined || this.#unfinished.has(event.id) || existsSync(picturePath(path))) return;
        const index = await readIndex(path);
        await keepPicture(ffmpeg, path, event, index, [...masks, ...(index.head.masks ?? [])]);
        await (await this.archive()).weigh({ path });
      })
      .catch(() => undefined);
    return this.#pictures;
  }

  #onClip(event: RuleEvent, { path }: RecordingFile, { untilUs, lack, masks }: ClipEnd): void {
    const { ffmpeg, onPicture } = this.#options;
    const say = (text: string): void => this.#options.onNotice(event.stream, `event ${event.id}: ${text}`);
    this.#pictures = this.#pictures
      .then(async () => {
        const index = await readIndex(path);
        const { lateUs, endUs } = summaryOf(index);
        if (lateUs > 0)
          say(`its clip begins ${(lateUs / 1e6).toFixed(1)} s later than asked: no older packets were in memory`);
        if (endUs < untilUs) say(`its clip ends ${((untilUs - endUs) / 1e6).toFixed(1)} s earlier than asked: ${lack}`);
        const now = this.#options.configOf(event.stream)?.masks ?? [];
        await keepPicture(ffmpeg, path, event, index, [...masks, ...now]);
        onPicture?.(event, () => snapshotOf(path));
      })
      .catch((error: Error) => {
        say(`its picture could not be made: ${error.message}`);
        onPicture?.(event, null);
      })
      .then(async () => (await this.archive()).weigh({ path }))
      .catch((error: Error) => void this.#onFailed(error));
  }
}
