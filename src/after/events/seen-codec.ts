import type { Box, Detection } from '../../base/core/detection.ts';
import { CAPTURE_CLOCKS } from '../../base/core/frame.ts';
import { STREAM_STATES } from '../../wire/protocol/report.ts';
import type { WatchedFrame } from './stream-events.ts';
import type { WatchedState } from './watched-stream.ts';

/** What rules read of a stream, one at a time. `nowMs` is monotonic, `wallMs` since 1970. */
export type SeenEntry =
  | { readonly type: 'result'; readonly nowMs: number; readonly frame: WatchedFrame }
  | { readonly type: 'picture'; readonly nowMs: number; readonly signs: readonly string[] }
  | { readonly type: 'state'; readonly nowMs: number; readonly wallMs: number; readonly now: WatchedState };

/** Names by their number, of all chunks of a stream: classes, runs, signs. */
export class SeenNames {
  readonly list: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.list.push(name) - 1;
      this.#numbers.set(name, number);
    }
    return number;
  }
}

const TYPES = ['result', 'picture', 'state'] as const;
/** Of the first byte of an entry: two bits are its type. */
const HAS_CONTEXT = 4;
const HAS_CLOCK = 8;
const HAS_ATTRIBUTES = 16;
const IS_MISSING = 4;
const HAS_COME = 8;

/** Boxes and scores are kept as results are written: to a tenth of a pixel, and four digits. */
const BOX_STEPS = 10;
const SCORE_STEPS = 10_000;

/** An entry takes no more than this, and a box of it. */
const ENTRY_BYTES = 96;
const DETECTION_BYTES = 48;
const FIRST_BYTES = 1024;

/** What numbers of the next entry are written as differences from. */
class Before {
  nowMs = 0;
  /** Of the clock of the wall, to the monotonic one. */
  aheadMs = 0;
  frame = 0;
  ptsUs = 0;
  stepUs = 0;
  capturedMs = 0;
  capturedStepMs = 0;
  context: readonly [width: number, height: number, run: number, clock: number] = [0, 0, 0, 0];
  framesIn = 0;
  /** By track; those without one by their place in the result. */
  readonly boxes = new Map<number, [x: number, y: number, width: number, height: number]>();

  /** By track: what second stages have said, as JSON. */
  readonly attributes = new Map<number, string>();

  boxOf(trackId: number | undefined, i: number): [number, number, number, number] {
    const key = trackId ?? -1 - i;
    let box = this.boxes.get(key);
    if (box === undefined) {
      box = [0, 0, 0, 0];
      this.boxes.set(key, box);
    }
    return box;
  }
}

/**
 * Writes entries into a chunk of bytes that can be read without the ones before it: differences as varints, about 7 bytes a result
 * and 9 a box. Times are kept to a millisecond, media time to a microsecond.
 */
export class SeenWriter {
  readonly #names: SeenNames;
  readonly #before = new Before();
  #bytes = new Uint8Array(FIRST_BYTES);
  #at = 0;

  constructor(names: SeenNames) {
    this.#names = names;
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#at;
  }

  /** Bytes that it takes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  result(frame: WatchedFrame, nowMs: number): void {
    const { detections, capturedAtMs, captureClock, run } = frame;
    this.#reserve(ENTRY_BYTES + detections.length * DETECTION_BYTES);
    const before = this.#before;
    const runNumber = run === undefined ? 0 : 1 + this.#names.numberOf(run);
    const clock = captureClock === undefined ? 0 : 1 + CAPTURE_CLOCKS.indexOf(captureClock);
    const [width, height, beforeRun, beforeClock] = before.context;
    const hasContext =
      width !== frame.width || height !== frame.height || beforeRun !== runNumber || beforeClock !== clock;
    const hasAttributes = detections.some(({ attributes }) => attributes !== undefined);
    const flags = (capturedAtMs === undefined ? 0 : HAS_CLOCK) + (hasAttributes ? HAS_ATTRIBUTES : 0);
    this.#begin('result', nowMs, (hasContext ? HAS_CONTEXT : 0) + flags);
    if (hasContext) {
      before.context = [frame.width, frame.height, runNumber, clock];
      for (const value of before.context) this.#uint(value);
    }
    this.#int(frame.frame - before.frame);
    before.frame = frame.frame;
    const stepUs = frame.ptsUs - before.ptsUs;
    this.#int(stepUs - before.stepUs);
    before.ptsUs = frame.ptsUs;
    before.stepUs = stepUs;
    if (capturedAtMs !== undefined) {
      const capturedMs = Math.trunc(capturedAtMs);
      const capturedStepMs = capturedMs - before.capturedMs;
      this.#int(capturedStepMs - before.capturedStepMs);
      before.capturedMs = capturedMs;
      before.capturedStepMs = capturedStepMs;
    }
    this.#uint(detections.length);
    let newest = 0;
    // Plain loops: this runs for each box of each result.
    for (let i = 0; i < detections.length; i++) {
      const { label, score, box, trackId } = detections[i]!;
      this.#uint(this.#names.numberOf(label));
      this.#uint(trackId === undefined ? 0 : 1 + zigzag(trackId - newest));
      newest = trackId ?? newest;
      this.#uint(Math.round(score * SCORE_STEPS));
      const last = before.boxOf(trackId, i);
      for (let side = 0; side < 4; side++) {
        const steps = Math.round(box[side]! * BOX_STEPS);
        this.#int(steps - last[side]!);
        last[side] = steps;
      }
    }
    if (hasAttributes) for (const detection of detections) this.#attributes(detection);
  }

  /** Written where they differ from those of the track before; no rule reads more than their labels. */
  #attributes({ trackId = -1, attributes = {} }: WatchedFrame['detections'][number]): void {
    const labels = Object.entries(attributes).map(([name, { label }]) => [name, { label }]);
    const text = JSON.stringify(Object.fromEntries(labels));
    const isKnown = this.#before.attributes.get(trackId) === text;
    const bytes = isKnown ? null : new TextEncoder().encode(text);
    this.#reserve(ENTRY_BYTES + (bytes?.length ?? 0));
    this.#uint(bytes?.length ?? 0);
    if (bytes === null) return;
    this.#before.attributes.set(trackId, text);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  picture(signs: readonly string[], nowMs: number): void {
    this.#reserve(ENTRY_BYTES);
    this.#begin('picture', nowMs, 0);
    this.#uint(signs.length);
    for (const sign of signs) this.#uint(this.#names.numberOf(sign));
  }

  state({ state, isMissing, framesIn }: WatchedState, nowMs: number, wallMs: number): void {
    this.#reserve(ENTRY_BYTES);
    const before = this.#before;
    const hasCome = framesIn !== before.framesIn;
    this.#begin('state', nowMs, (isMissing ? IS_MISSING : 0) + (hasCome ? HAS_COME : 0));
    this.#uint(STREAM_STATES.indexOf(state));
    const aheadMs = Math.round(wallMs) - before.nowMs;
    this.#int(aheadMs - before.aheadMs);
    before.aheadMs = aheadMs;
    before.framesIn = framesIn;
  }

  /** Returns a copy of what was written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  #begin(type: (typeof TYPES)[number], nowMs: number, flags: number): void {
    this.#bytes[this.#at++] = TYPES.indexOf(type) + flags;
    const now = Math.round(nowMs);
    this.#int(now - this.#before.nowMs);
    this.#before.nowMs = now;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  #int(value: number): void {
    this.#uint(zigzag(value));
  }

  #uint(value: number): void {
    let rest = value;
    // Numbers from outside: one that is none must not go on for ever.
    while (rest > 127 && rest <= Number.MAX_SAFE_INTEGER) {
      this.#bytes[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }
}

/** Reads the entries of a chunk, in order. @param names - `SeenNames.list` of its stream. */
export function* readSeen(bytes: Uint8Array, names: readonly string[]): Generator<SeenEntry> {
  const before = new Before();
  let at = 0;
  const uint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++]!;
      if (byte < 128) return value + byte * scale;
      value += (byte - 128) * scale;
      scale *= 128;
    }
  };
  const int = (): number => unzigzag(uint());
  const withAttributes = (detection: Detection): Detection => {
    const { trackId = -1 } = detection;
    const length = uint();
    if (length > 0) before.attributes.set(trackId, new TextDecoder().decode(bytes.subarray(at, at + length)));
    at += length;
    const attributes = JSON.parse(before.attributes.get(trackId)!) as NonNullable<Detection['attributes']>;
    // None in this frame: an object keeps what was said of it.
    return Object.keys(attributes).length === 0 ? detection : { ...detection, attributes };
  };
  while (at < bytes.length) {
    const head = bytes[at++]!;
    before.nowMs += int();
    const { nowMs } = before;
    const type = TYPES[head % 4]!;
    if (type === 'picture') {
      yield { type, nowMs, signs: Array.from({ length: uint() }, () => names[uint()]!) };
      continue;
    }
    if (type === 'state') {
      const state = STREAM_STATES[uint()]!;
      before.aheadMs += int();
      if ((head & HAS_COME) > 0) before.framesIn += 1;
      const now = { state, isMissing: (head & IS_MISSING) > 0, framesIn: before.framesIn };
      yield { type, nowMs, wallMs: nowMs + before.aheadMs, now };
      continue;
    }
    if ((head & HAS_CONTEXT) > 0) before.context = [uint(), uint(), uint(), uint()];
    const [width, height, run, clock] = before.context;
    before.frame += int();
    before.stepUs += int();
    before.ptsUs += before.stepUs;
    if ((head & HAS_CLOCK) > 0) {
      before.capturedStepMs += int();
      before.capturedMs += before.capturedStepMs;
    }
    let newest = 0;
    const detections = Array.from({ length: uint() }, (_, i) => {
      const label = names[uint()]!;
      const track = uint();
      if (track > 0) newest += unzigzag(track - 1);
      const score = uint() / SCORE_STEPS;
      const last = before.boxOf(track > 0 ? newest : undefined, i);
      for (const side of last.keys()) last[side]! += int();
      const box = last.map((steps) => steps / BOX_STEPS) as unknown as Box;
      // No rule reads the number of a class.
      return { classId: 0, label, score, box, ...(track > 0 ? { trackId: newest } : {}) };
    });
    const seen = (head & HAS_ATTRIBUTES) === 0 ? detections : detections.map(withAttributes);
    const frame = {
      frame: before.frame,
      ptsUs: before.ptsUs,
      width,
      height,
      detections: seen,
      ...(run === 0 ? {} : { run: names[run - 1]! }),
      ...(clock === 0 ? {} : { captureClock: CAPTURE_CLOCKS[clock - 1]! }),
      ...((head & HAS_CLOCK) > 0 ? { capturedAtMs: before.capturedMs } : {}),
    };
    yield { type, nowMs, frame };
  }
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
