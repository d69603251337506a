import { monoNowMs } from '../../../base/core/clock.ts';
import type { Attribute, Box, Detection } from '../../../base/core/detection.ts';
import { isReader } from '../../../base/core/model.ts';
import { durationMs } from '../../../settings/config/duration.ts';
import { DETECTOR } from '../../../settings/config/stages.ts';
import type { Crop } from '../../../wire/protocol/threads.ts';
import { SlidingWindow } from '../../telemetry/sliding-window.ts';
import { footOf } from '../../track/anchor.ts';
import { isInside } from '../../track/zones.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import { LOOKED_FRAMES } from '../stream/ring-plan.ts';
import { lostMsOf } from '../stream/stream-analytics.ts';
import type { FrameStages, LookedFrame, SeenFrame, StagedSettings, StageWaits } from '../stream/stream-port.ts';
import { alignedCrop } from './aligned-crop.ts';
import { attributeNames, attributesOf, cropOf, objectsIn, placedIn, shorterSidePx } from './crop-readings.ts';
import { type CropReader, type Look, LookGroup } from './look-group.ts';

/** With `per: bestOfTrack`: most looks at a track, and how much better each picture must be than the one before. */
const BEST_LOOKS = 3;
const BETTER_RATIO = 2;
/** What a second stage did for a track. */
interface Looked {
  readonly count: number;
  readonly atUs: number;
  /** Best picture that it looked at: size times score. */
  readonly quality: number;
}

interface Track {
  seenUs: number;
  /** Shared with records, so replaced as a whole. */
  attributes: Readonly<Record<string, Attribute>>;
  /** Found in it, and in no record yet; boxes and key points as ratios of the box of the track. */
  found: Detection[];
  readonly looked: Map<string, Looked>;
}

/** A part of a frame that may be looked at. */
interface Candidate {
  readonly object: Detection;
  readonly trackId: number;
  /** Of the track in this frame. */
  readonly trackBox: Box;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Second stages on the objects of one stream: which are looked at, and what is known of each track. A frame of a live stream is published
 * with what is known by then; one of a file waits for its own crops, so that each reading of the file gives the same records.
 */
export class StreamStages<F extends SeenFrame = InFlightFrame> implements FrameStages<F> {
  /** The second stages of the pipeline; another list once one is replaced. */
  readonly #all: () => readonly CropReader<F>[];
  /** Classes of the detector. */
  readonly #classCount: number;
  readonly #tracks = new Map<number, Track>();
  /** Those that are not over. */
  readonly #open = new Set<LookGroup<F>>();
  readonly #now: () => number;
  readonly #waits = { whole: new SlidingWindow(), byStage: new Map<string, SlidingWindow>() };
  #settings: StagedSettings;
  #known: readonly CropReader<F>[] | null = null;
  #own: readonly CropReader<F>[] = [];

  constructor(
    all: () => readonly CropReader<F>[],
    settings: StagedSettings,
    classCount: number,
    now: () => number = monoNowMs,
  ) {
    this.#now = now;
    this.#all = all;
    this.#settings = settings;
    this.#classCount = classCount;
  }

  retune(settings: StagedSettings): void {
    this.#settings = settings;
    this.#known = null;
  }

  waits(nowMs: number): StageWaits {
    const byStage = [...this.#waits.byStage].map(([name, window]) => [name, window.percentiles(nowMs)] as const);
    return { whole: this.#waits.whole.percentiles(nowMs), byStage: new Map(byStage) };
  }

  /** Tracks of which something is remembered. */
  get trackCount(): number {
    return this.#tracks.size;
  }

  /** The second stages of the stream, in the order of the pipeline. */
  get #stages(): readonly CropReader<F>[] {
    const all = this.#all();
    if (all === this.#known) return this.#own;
    const own = all.filter(({ name }) => this.#settings.stages?.includes(name) === true);
    // What another model said, and how often it looked, holds no more.
    if (this.#own.some((stage) => !own.includes(stage))) this.#tracks.clear();
    this.#known = all;
    this.#own = own;
    return own;
  }

  look(looked: LookedFrame<F>, detections: readonly Detection[]): LookGroup<F> | null {
    const stages = this.#stages;
    if (stages.length === 0) return null;
    const { frame, isLive } = looked;
    const candidates: Candidate[] = [];
    for (const object of detections) {
      if (object.trackId === undefined) continue;
      this.#see(object.trackId, frame.meta.ptsUs);
      candidates.push({ object, trackId: object.trackId, trackBox: object.box });
    }
    // A box that is predicted may lie beside its object.
    if (frame.by !== 'inferred') return null;
    const beganMs = this.#now();
    const ofFrame = isLive
      ? null
      : this.#group(frame, ({ looks }) => {
          if (looks.length > 0) this.#waits.whole.add(this.#now(), this.#now() - beganMs);
        });
    // Nothing is over before all have begun.
    ofFrame?.enter();
    for (const stage of stages.filter(({ config }) => config.on.from === DETECTOR)) {
      const looks = this.#lookAt(stage, candidates, looked, ofFrame ?? 'each alone');
      ofFrame?.looks.push(...looks);
    }
    ofFrame?.leave();
    return ofFrame === null || ofFrame.looks.length === 0 ? null : ofFrame;
  }

  dress(detections: readonly Detection[], ptsUs: number, group: LookGroup<F> | null): readonly Detection[] {
    for (const look of group?.looks ?? []) this.#take(look);
    this.#forget(ptsUs);
    if (this.#tracks.size === 0) return detections;
    return detections.flatMap((detection) => {
      const track = detection.trackId === undefined ? undefined : this.#tracks.get(detection.trackId);
      if (track === undefined) return [detection];
      const { attributes, found } = track;
      track.found = [];
      const known = Object.keys(attributes).length === 0 ? {} : { attributes };
      const inside = found.map((object) => placedIn(object, detection.box));
      return [{ ...detection, ...known }, ...inside];
    });
  }

  withdraw(streamId: string): void {
    for (const stage of this.#stages) stage.withdraw(streamId);
    for (const group of this.#open) group.giveUp();
  }

  #group(frame: F, onOver: (group: LookGroup<F>) => void): LookGroup<F> {
    const group = new LookGroup(frame, (over) => {
      this.#open.delete(over);
      onOver(over);
    });
    this.#open.add(group);
    return group;
  }

  #see(trackId: number, seenUs: number): void {
    const track = this.#tracks.get(trackId);
    if (track !== undefined) track.seenUs = seenUs;
    else this.#tracks.set(trackId, { seenUs, attributes: {}, found: [], looked: new Map() });
  }

  /** Forgets tracks that have ended. */
  #forget(nowUs: number): void {
    const lostUs = lostMsOf(this.#settings) * 1000;
    for (const [trackId, { seenUs }] of this.#tracks) if (nowUs - seenUs > lostUs) this.#tracks.delete(trackId);
  }

  /**
   * Looks at those of the candidates that are due, the largest first.
   *
   * @param into - whose looks they are; or each is a group, and takes effect when it is over.
   */
  #lookAt(
    stage: CropReader<F>,
    candidates: readonly Candidate[],
    looked: LookedFrame<F>,
    into: LookGroup<F> | 'each alone',
  ): Look<F>[] {
    const { picture, isLive, frame } = looked;
    const { max, on } = stage.config;
    const due = candidates.filter((candidate) => this.#isDue(stage, candidate, looked));
    due.sort((a, b) => areaOf(b.object) - areaOf(a.object));
    const looks: Look<F>[] = [];
    for (const [i, candidate] of due.entries()) {
      const crop = picture === null ? null : cropFor(stage, candidate.object, frame.meta, picture);
      if (i >= max) stage.skip('max');
      else if (crop === null) stage.skip(picture !== null && on.align === 'keypoints' ? 'no-points' : 'no-picture');
      else if (isLive && this.#hasNoRoom(frame)) stage.skip('queue-full');
      else {
        const undo = this.#note(stage, candidate, frame.meta.ptsUs);
        const group = into === 'each alone' ? this.#group(frame, ({ looks: [only] }) => this.#take(only!)) : into;
        const look: Look<F> = { stage, ...candidate, attributes: {}, isMissed: false, found: [], inner: [] };
        looks.push(look);
        if (into === 'each alone') group.looks.push(look);
        group.enter();
        const beganMs = this.#now();
        stage.look(frame, crop, isLive, (rows) => {
          if (!isLive) this.#waited(stage.name, beganMs);
          if (rows === null) {
            undo();
            look.isMissed = true;
          } else {
            if (!isLive) {
              frame.readings ??= [];
              frame.readings.push({ stage: stage.name, crop, rows });
            }
            this.#read(look, rows, looked, group);
          }
          group.leave();
        });
      }
    }
    return looks;
  }

  #hasNoRoom(frame: F): boolean {
    const held = new Set([...this.#open].map((group) => group.frame));
    return !held.has(frame) && held.size >= LOOKED_FRAMES;
  }

  #waited(stage: string, beganMs: number): void {
    const window = this.#waits.byStage.get(stage) ?? new SlidingWindow();
    this.#waits.byStage.set(stage, window);
    window.add(this.#now(), this.#now() - beganMs);
  }

  #isDue(stage: CropReader<F>, { object, trackId }: Candidate, { frame, picture }: LookedFrame<F>): boolean {
    const { on, per, again } = stage.config;
    if (on.labels?.includes(object.label) === false) return false;
    if (shorterSidePx(object.box, frame.meta, picture ?? frame.meta) < on.minPixels) return false;
    if (on.zone !== undefined && !this.#isInZone(on.zone, object, frame.meta)) return false;
    const looked = this.#tracks.get(trackId)?.looked.get(stage.name);
    if (per === 'frame' || looked === undefined) return true;
    if (per === 'track') return again !== undefined && frame.meta.ptsUs - looked.atUs >= durationMs(again) * 1000;
    return looked.count < BEST_LOOKS && qualityOf(object) >= BETTER_RATIO * looked.quality;
  }

  #isInZone(id: string, object: Detection, { width, height }: Size): boolean {
    const zone = this.#settings.zones.find((each) => each.id === id);
    if (zone === undefined) return false;
    const { x, y } = footOf(object, zone.anchor);
    return isInside(zone.polygon, x / width, y / height);
  }

  /** Notes a look, so that the next frames know of it while it is not over. @returns what to call if it was skipped. */
  #note(stage: CropReader<F>, { object, trackId }: Candidate, atUs: number): () => void {
    const looked = this.#tracks.get(trackId)?.looked;
    const before = looked?.get(stage.name);
    const quality = Math.max(qualityOf(object), before?.quality ?? 0);
    looked?.set(stage.name, { count: (before?.count ?? 0) + 1, atUs, quality });
    return () => {
      if (before === undefined) looked?.delete(stage.name);
      else looked?.set(stage.name, before);
    };
  }

  /** Reads what a model found in a crop, and looks at the objects among it. */
  #read(look: Look<F>, rows: Float32Array, looked: LookedFrame<F>, group: LookGroup<F>): void {
    const { stage, trackId } = look;
    const { spec, scoreThreshold } = stage.model;
    const { meta } = looked.frame;
    if (isReader(spec.family) || spec.task === 'classes') {
      look.attributes = attributesOf(stage.model, stage.name, rows, look.object.box, meta.ptsUs);
      return;
    }
    look.found = objectsIn(rows, spec, scoreThreshold, meta, looked.picture!, this.#classCount);
    // Its track may have ended, or the stream.
    if (!this.#tracks.has(trackId)) return;
    const candidates = look.found.map((object) => ({ object, trackId, trackBox: look.trackBox }));
    const next = this.#stages.filter(({ config }) => config.on.from === stage.name);
    look.inner = next.flatMap((inner) => this.#lookAt(inner, candidates, looked, group));
  }

  /** Lets a look take effect: on its track, unless that has ended. @returns what it says of its object. */
  #take({
    stage,
    trackId,
    trackBox,
    attributes,
    isMissed,
    found,
    inner,
  }: Look<F>): Readonly<Record<string, Attribute>> {
    const track = this.#tracks.get(trackId);
    if (track === undefined || !this.#stages.includes(stage)) return attributes;
    // With `per: frame` a record says what was found in its own frame.
    if (isMissed && stage.config.per === 'frame') track.attributes = without(track.attributes, stage);
    track.attributes = merged(track.attributes, attributes, stage.config.per === 'bestOfTrack');
    const said = inner.map((each) => ({ object: each.object, attributes: this.#take(each) }));
    for (const object of found) {
      const own = Object.assign({}, ...said.filter((each) => each.object === object).map((each) => each.attributes));
      const known = Object.keys(own).length === 0 ? {} : { attributes: own };
      track.found.push({ ...placedIn(object, inverseOf(trackBox)), parent: trackId, ...known });
    }
    return attributes;
  }
}

/** Returns the part of a full picture that a second stage looks at; null if there is none. */
function cropFor<F>(
  { config: { on }, model }: CropReader<F>,
  object: Detection,
  source: Size,
  picture: Size,
): Crop | null {
  const { box, angle, keypoints = [] } = object;
  if (on.align === 'keypoints')
    return alignedCrop(keypoints, on.template ?? null, model.spec.input, source, picture, on.marginRatio);
  return cropOf(box, source, picture, on.marginRatio, on.align === 'box' ? angle : 0);
}

/** Leaves out what a second stage said. */
function without(
  before: Track['attributes'],
  { name, model }: Pick<CropReader, 'name' | 'model'>,
): Track['attributes'] {
  const names = [name, ...attributeNames(model.spec, name)];
  return Object.fromEntries(Object.entries(before).filter(([each]) => !names.includes(each)));
}

/** @param isBest - what was said with more certainty stays. */
function merged(before: Track['attributes'], next: Track['attributes'], isBest: boolean): Track['attributes'] {
  const better = Object.entries(next).filter(([name, { score = 1 }]) => !isBest || score >= (before[name]?.score ?? 0));
  return better.length === 0 ? before : { ...before, ...Object.fromEntries(better) };
}

function areaOf({ box }: Detection): number {
  return box[2] * box[3];
}

function qualityOf(object: Detection): number {
  return areaOf(object) * object.score;
}

/** The box in which `placedIn` turns pixels into ratios of this one. */
function inverseOf([left, top, width, height]: Box): Box {
  return [-left / width, -top / height, 1 / width, 1 / height];
}
