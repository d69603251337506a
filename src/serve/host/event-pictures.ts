import sharp from 'sharp';
import type { PublishedFrame } from '../../base/core/frame.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { SlotPicture } from '../../frame/runtime/stream/slot-picture.ts';
import type { EventPictureFacts, KeptPicture, PictureMoment } from '../../wire/protocol/event-picture.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';

/** A card of the page is smaller; SQLite keeps thousands of them. */
const MOST_WIDTH_PX = 640;
const QUALITY = 75;
/** Pictures that wait to be encoded, of all streams: each is a copy of a model's input, about half a megabyte. */
const MOST_WAITING = 32;
/** So often the scene of a stream is kept whose rules tell that it is blind or away. */
const SAMPLE_MS = 2_000;
/** A camera is called blind after it has been so for a while: younger pictures may show it. */
const SURELY_WELL_MS = 4_000;
const MOST_SAMPLES = 5;

type PicturePort = Pick<Runtime, 'published' | 'signs' | 'find' | 'publishedPicture'>;
type Keep = (picture: KeptPicture) => void;

/** What is known of a stream whose rules tell that it is blind or away. */
interface Watched {
  /** Pictures in which all was well, oldest first. */
  samples: KeptPicture[];
  sampledMs: number;
  /** It is blind: the samples stay as they are. */
  isBlind: boolean;
}

/**
 * Makes a small picture of each event: of the frame that raised it; of cameras that are blind or away the last good picture and the first
 * that is not. Encodes in the threads of sharp, one after the other; what comes too fast gets none.
 */
export class EventPictures {
  readonly #runtime: PicturePort;
  readonly #wallMs: () => number;
  readonly #watched = new Map<string, Watched>();
  /** Events that wait for the next picture of their stream. */
  readonly #awaited = new Map<string, Keep[]>();
  #encoding: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(runtime: PicturePort, wallMs: () => number = Date.now) {
    this.#runtime = runtime;
    this.#wallMs = wallMs;
    runtime.published.add((frame) => this.#onFrame(frame));
    runtime.signs.add(({ stream, sign, isDark }) => this.#onSign(stream, sign !== null || isDark));
  }

  /** Takes the pictures of an event at its beginning, while the frame that raised it is published. @param keep - is called for each. */
  take(event: RuleEvent, keep: Keep): void {
    const { stream, kind, sign, trackId } = event;
    if (kind === 'picture' || kind === 'stream') {
      const before = sign === 'target-missed' ? undefined : this.#watched.get(stream)?.samples.at(-1);
      if (before !== undefined) keep(before);
      // Of a camera that is away nothing comes until it is back, when all is well.
      if (sign !== 'down') this.#awaited.set(stream, [...(this.#awaited.get(stream) ?? []), keep]);
      return;
    }
    this.#keepCurrent(stream, 'at', trackId, keep);
  }

  /** Resolves once all that was taken is encoded. */
  idle(): Promise<void> {
    return this.#encoding;
  }

  #onFrame({ streamId }: PublishedFrame): void {
    const awaited = this.#awaited.get(streamId);
    if (awaited !== undefined) {
      const isTaken = this.#keepCurrent(streamId, 'at', undefined, (picture) => {
        for (const keep of awaited) keep(picture);
      });
      if (isTaken) this.#awaited.delete(streamId);
    }
    const rules = this.#runtime.find(streamId)?.config.events ?? [];
    if (!rules.some(({ kind }) => kind === 'picture' || kind === 'stream')) {
      this.#watched.delete(streamId);
      return;
    }
    const watched = this.#watchedOf(streamId);
    const nowMs = this.#wallMs();
    if (watched.isBlind || nowMs - watched.sampledMs < SAMPLE_MS) return;
    watched.sampledMs = nowMs;
    this.#keepCurrent(streamId, 'before', undefined, (picture) => {
      if (!watched.isBlind) watched.samples = [...watched.samples, picture].slice(-MOST_SAMPLES);
    });
  }

  #onSign(stream: string, isBlind: boolean): void {
    const watched = this.#watchedOf(stream);
    if (isBlind && !watched.isBlind) {
      const wellMs = this.#wallMs() - SURELY_WELL_MS;
      watched.samples = watched.samples.filter(({ facts }) => facts.timeMs <= wellMs);
    }
    watched.isBlind = isBlind;
  }

  #watchedOf(stream: string): Watched {
    const known = this.#watched.get(stream) ?? { samples: [], sampledMs: Number.NEGATIVE_INFINITY, isBlind: false };
    this.#watched.set(stream, known);
    return known;
  }

  /** @returns whether there is a picture now; it is passed on once it is encoded. */
  #keepCurrent(stream: string, moment: PictureMoment, trackId: number | undefined, keep: Keep): boolean {
    if (this.#waiting >= MOST_WAITING) return false;
    const current = this.#runtime.publishedPicture(stream, trackId);
    if (current === null) return false;
    const { picture, frame } = current;
    const { x, y, width, height } = picture.bounds;
    const facts: EventPictureFacts = {
      moment,
      timeMs: frame.capturedAtMs ?? this.#wallMs(),
      width: frame.width,
      height: frame.height,
      bounds: [x, y, width, height],
      box: current.box,
    };
    this.#waiting += 1;
    this.#encoding = this.#encoding
      .then(async () => keep({ facts, jpeg: await encoded(picture) }))
      .catch(() => undefined)
      .finally(() => {
        this.#waiting -= 1;
      });
    return true;
  }
}

async function encoded({ pixels, width, height, part, bounds }: SlotPicture): Promise<Uint8Array> {
  const shownWidth = Math.max(
    1,
    Math.round(
      Math.min(MOST_WIDTH_PX, bounds.width, Math.max(part.width, (part.height * bounds.width) / bounds.height)),
    ),
  );
  const size = { width: shownWidth, height: Math.max(1, Math.round((shownWidth * bounds.height) / bounds.width)) };
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .extract({ left: part.x, top: part.y, width: part.width, height: part.height })
    .resize({ ...size, fit: 'fill' })
    .jpeg({ quality: QUALITY })
    .toBuffer();
}
