import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/core/clock.ts';
import type { FrameResult } from '../../base/core/frame.ts';
import { durationMs } from '../../settings/config/duration.ts';
import { hasClips, type StreamConfig } from '../../settings/config/stream.ts';
import type { GapReason, StreamPackets } from '../../wire/protocol/packets.ts';
import type { EventMoment, RuleEvent } from '../../wire/protocol/rule-event.ts';
import { joinLabels, labelsText, type RecordingFile } from './archive.ts';
import { BoxMemory, keepBoxes } from './clip-boxes.ts';
import { type KeptFragment, PacketRing } from './packet-ring.ts';
import { RecordingWriter, type WriterDisk } from './recording-writer.ts';
import type { PushCounts, Restream } from './restream.ts';

/** `record: events` keeps so much around an event, or as much as the clip of its rule. */
const AROUND_US = 5_000_000;
/** A clip ends after this time, also if its event lasts longer. */
const LONGEST_CLIP_US = 600_000_000;
/** Clips of one stream at once. */
export const MOST_CLIPS = 16;
/** How far results may be behind the packets. */
const LATE_US = 5_000_000;
/** A clip waits so long for the results of its last frames. */
const RESULTS_MS = 5_000;

type RecorderSettings = Pick<StreamConfig, 'record' | 'events' | 'masks'>;

interface StreamRecorderOptions {
  readonly stream: string;
  readonly ringBytes: number;
  readonly disk: WriterDisk;
  readonly clock: Pick<Clock, 'setTimer'>;
  /** What is missing before the first packets. */
  readonly gap: GapReason;
  /** The clip of an event is complete. @param event - its newest record. */
  readonly onClip: (event: RuleEvent, file: RecordingFile, end: ClipEnd) => void;
  /** Events whose clip was begun and was not given to `onClip` yet: nobody else knows what their pictures must hide. */
  readonly unfinished: Set<string>;
  /** An event gets no clip, because there are `MOST_CLIPS`. */
  readonly onRefused: (event: RuleEvent) => void;
}

/** How a clip ended. */
export interface ClipEnd {
  /** Media time that it was to reach. */
  readonly untilUs: number;
  /** Why it has not, if so. */
  readonly lack: string;
  /** All that its pictures must hide: what a camera showed while it had a mask is never shown, also if the mask is gone. */
  readonly masks: StreamConfig['masks'];
}

/** A clip that is being written. */
interface OpenClip {
  readonly writer: RecordingWriter;
  readonly limitUs: number;
  /** Media time of its first packets, as far as they are known: they may come after the event. */
  fromUs: number;
  /** After the end of its event. */
  readonly afterUs: number;
  event: RuleEvent;
  /** Null while its event lasts. */
  untilUs: number | null;
}

/** A clip that has its packets, but maybe not yet the results of its last frames. */
interface LateClip {
  readonly clip: OpenClip;
  readonly file: ReturnType<RecordingWriter['end']>;
  /** Media time that it was to reach, and at which its packets end. */
  readonly untilUs: number;
  readonly endUs: number;
  readonly giveUp: () => void;
}

/** Keeps the packets of one stream: in memory, and on disk what its settings and its events ask for. */
export class StreamRecorder {
  readonly ring: PacketRing;
  /** Who watches live gets what is kept as it comes. */
  readonly viewers = new Set<(kept: KeptFragment) => void>();
  /** Pushes what is kept to a media server; null if nothing asks for it. */
  restream: Restream | null = null;
  /** Go on when it gets another address. */
  readonly pushed: PushCounts = { connections: 0, sentFrames: 0, skippedFrames: 0 };
  readonly #options: StreamRecorderOptions;
  #settings: RecorderSettings;
  /** Masks that were taken away, and the media time from which no picture belongs to them. */
  #formerMasks: { readonly masks: StreamConfig['masks']; readonly untilUs: number }[] = [];
  #recording: RecordingWriter | null = null;
  /** What is missing before the next recording. */
  #gap: GapReason;
  /** Labels of the events that last, by id. */
  readonly #active = new Map<string, string>();
  readonly #clips = new Map<string, OpenClip>();
  readonly #lateClips = new Set<LateClip>();
  /** What was found lately, where a rule has clips. */
  readonly #boxes = new BoxMemory();
  /** Files that are being completed. */
  readonly #ending = new Set<Promise<unknown>>();
  /** Recordings of events that are over go on until then, by their labels. */
  readonly #untilUs = new Map<string, number>();
  /** What recordings of events have. */
  #recordedUs = Number.NEGATIVE_INFINITY;

  constructor(settings: RecorderSettings, options: StreamRecorderOptions) {
    this.#options = options;
    this.ring = new PacketRing(options.ringBytes);
    this.#gap = options.gap;
    this.#settings = settings;
    this.settings = settings;
  }

  set settings(settings: RecorderSettings) {
    if (settings.record !== this.#settings.record) this.#endRecording('event');
    this.masks = settings.masks;
    this.#settings = settings;
    const before = settings.events.map(({ clip }) => (clip === undefined ? 0 : durationMs(clip.before) * 1000));
    const needsRing = settings.record === 'events' || hasClips(settings);
    this.ring.neededUs = needsRing ? Math.max(settings.record === 'events' ? AROUND_US : 0, ...before) + LATE_US : 0;
  }

  /** What is hidden now. Packets come after their pictures, so a mask that is taken away counts a while longer. */
  set masks(masks: StreamConfig['masks']) {
    const { masks: before } = this.#settings;
    if (masks === before || isDeepStrictEqual(masks, before)) return;
    const nowUs = this.ring.endUs ?? 0;
    this.#formerMasks = this.#formerMasks.filter(({ untilUs }) => untilUs > nowUs - 2 * LONGEST_CLIP_US);
    this.#formerMasks.push({ masks: before, untilUs: nowUs + LATE_US });
    this.#settings = { ...this.#settings, masks };
  }

  #masksSince(fromUs: number): StreamConfig['masks'] {
    const former = this.#formerMasks.flatMap(({ masks, untilUs }) => (untilUs > fromUs ? masks : []));
    return [...this.#settings.masks, ...former];
  }

  onPackets(packets: StreamPackets): void {
    const kept = this.ring.push(packets);
    if (kept === null) return;
    for (const view of this.viewers) view(kept);
    this.restream?.push(kept);
    const { fragment } = kept;
    const after = [...this.#untilUs].flatMap(([each, untilUs]) => (fragment.startUs <= untilUs ? [each] : []));
    const labels = joinLabels([...this.#active.values(), ...after]);
    const { record } = this.#settings;
    if (record === 'continuous' || (record === 'events' && labels !== undefined)) {
      this.#recordingWriter().push(kept, labels);
      this.#recordedUs = fragment.endUs;
    } else this.#endRecording('event');
    for (const clip of this.#clips.values()) {
      clip.fromUs = Math.min(clip.fromUs, fragment.startUs);
      clip.writer.push(kept, this.#labelsOf(clip.event));
      this.#endIfDone(clip);
    }
  }

  /** Takes the result of a frame, for the clips that show it. */
  onFrame(frame: FrameResult): void {
    const isNeeded = this.#clips.size > 0 || this.#lateClips.size > 0;
    if (!isNeeded && !hasClips(this.#settings)) return;
    if (this.#boxes.endsWith(frame)) this.#completeUpTo(Number.POSITIVE_INFINITY);
    const clips = [...this.#clips.values(), ...[...this.#lateClips].map(({ clip }) => clip)];
    const begun = clips.map(({ fromUs }) => fromUs);
    this.#boxes.push(frame, Math.min(frame.ptsUs - this.ring.neededUs - LATE_US, ...begun));
    this.#completeUpTo(frame.ptsUs);
  }

  /** Of an event without a class of its own, as one that counts, the labels of its rule. */
  #labelsOf({ label, rule }: RuleEvent): string {
    const settings = this.#settings.events.find(({ id }) => id === rule);
    const ofRule = settings !== undefined && 'labels' in settings ? settings.labels : undefined;
    return labelsText(label === undefined ? (ofRule ?? []) : [label]);
  }

  /** Takes a record of an event of this stream. */
  onEvent(event: RuleEvent): void {
    const { endUs } = this.ring;
    const { clip } = this.#settings.events.find(({ id }) => id === event.rule) ?? {};
    const usOf = (moment: EventMoment | undefined): number => moment?.ptsUs ?? event.ptsUs ?? endUs ?? 0;
    const open = this.#clips.get(event.id);
    if (open !== undefined) open.event = event;
    const labels = this.#labelsOf(event);
    // Also before the first packets: they come a group of pictures later than results.
    if (event.phase === 'new' || this.#active.has(event.id)) this.#active.set(event.id, labels);
    if (event.phase === 'new') {
      const raisedUs = usOf(event.raised);
      const beforeUs = clip === undefined ? 0 : durationMs(clip.before) * 1000;
      if (this.#settings.record === 'events') this.#recordSince(raisedUs - Math.max(AROUND_US, beforeUs), labels);
      if (clip !== undefined) this.#openClip(event, raisedUs - beforeUs, durationMs(clip.after) * 1000);
    }
    if (event.phase !== 'end') return;
    this.#active.delete(event.id);
    const afterUs = clip === undefined ? 0 : durationMs(clip.after) * 1000;
    const overUs = Math.max(usOf(event.raised), usOf(event.ended));
    const untilUs = overUs + Math.max(AROUND_US, afterUs);
    this.#untilUs.set(labels, Math.max(this.#untilUs.get(labels) ?? untilUs, untilUs));
    if (open === undefined) return;
    open.untilUs = overUs + afterUs;
    this.#endIfDone(open);
  }

  /** No packets will come for now: what is being written is complete. @returns once it is on disk. */
  async flush(gap: GapReason): Promise<void> {
    for (const clip of this.#clips.values()) this.#endClip(clip);
    // All results are there, or will never come.
    this.#completeUpTo(Number.POSITIVE_INFINITY);
    this.#endRecording(gap);
    await Promise.all([...this.#ending, this.restream?.pause()]);
  }

  #endRecording(gap: GapReason): void {
    if (this.#recording === null) return;
    this.#await(this.#recording.end());
    this.#gap = gap;
    this.#recording = null;
  }

  #await(ending: Promise<unknown>): void {
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  #recordingWriter(): RecordingWriter {
    const { stream, disk } = this.#options;
    this.#recording ??= new RecordingWriter({ stream, kind: this.#settings.record!, gap: this.#gap }, disk);
    return this.#recording;
  }

  /** Records what is in memory and not recorded. */
  #recordSince(fromUs: number, labels: string): void {
    const missing = this.ring.since(fromUs).filter(({ fragment }) => fragment.startUs >= this.#recordedUs);
    const writer = this.#recordingWriter();
    for (const kept of missing) writer.push(kept, labels);
    this.#recordedUs = Math.max(this.#recordedUs, missing.at(-1)?.fragment.endUs ?? Number.NEGATIVE_INFINITY);
  }

  #openClip(event: RuleEvent, askedFromUs: number, afterUs: number): void {
    const { stream, disk, onRefused } = this.#options;
    if (this.#clips.size >= MOST_CLIPS) {
      onRefused(event);
      return;
    }
    const before = this.ring.since(askedFromUs);
    const fromUs = Math.min(askedFromUs, before[0]?.fragment.startUs ?? askedFromUs);
    const masks = this.#masksSince(fromUs);
    const asked = { askedFromUs, ...(masks.length === 0 ? {} : { masks }) };
    const writer = new RecordingWriter({ stream, kind: 'clip', event: event.id, ...asked }, disk);
    const clip = { writer, event, untilUs: null, afterUs, fromUs, limitUs: askedFromUs + LONGEST_CLIP_US };
    this.#clips.set(event.id, clip);
    this.#options.unfinished.add(event.id);
    for (const kept of before) writer.push(kept, this.#labelsOf(event));
  }

  #endIfDone(clip: OpenClip): void {
    const untilUs = Math.min(clip.untilUs ?? clip.limitUs, clip.limitUs);
    if ((this.ring.completeUs ?? Number.NEGATIVE_INFINITY) >= untilUs) this.#endClip(clip);
  }

  #endClip(clip: OpenClip): void {
    this.#clips.delete(clip.event.id);
    // Of an event that lasts when its stream ends, nobody knows more.
    const overUs = clip.untilUs ?? (this.ring.endUs ?? clip.limitUs) + clip.afterUs;
    const untilUs = Math.min(overUs, clip.limitUs);
    const giveUp = this.#options.clock.setTimer(() => this.#complete(late), RESULTS_MS);
    const late: LateClip = { clip, file: clip.writer.end(), untilUs, endUs: this.ring.endUs ?? untilUs, giveUp };
    this.#lateClips.add(late);
    const { newestUs } = this.#boxes;
    this.#completeUpTo(newestUs === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : newestUs);
  }

  /** Completes the clips whose results are all there. @param resultUs - media time of the newest one. */
  #completeUpTo(resultUs: number): void {
    for (const late of this.#lateClips) if (late.endUs <= resultUs) this.#complete(late);
  }

  #complete(late: LateClip): void {
    const { clip, file: whole, untilUs, endUs, giveUp } = late;
    giveUp();
    this.#lateClips.delete(late);
    const boxes = this.#boxes.between(clip.fromUs, endUs);
    const ended = whole.then(async (file) => {
      const masks = this.#masksSince(clip.fromUs);
      if (file === null) return;
      await keepBoxes(file.path, boxes);
      this.#options.onClip(clip.event, file, { untilUs, lack: clip.writer.lack, masks });
    });
    this.#await(ended.finally(() => this.#options.unfinished.delete(clip.event.id)));
  }
}
