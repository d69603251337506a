import { monoNowMs } from '../../../base/core/clock.ts';
import type { PtsUs } from '../../../base/core/units.ts';
import { type Fit, fitInto, fitOnTarget, PICTURE_FIT, placementOf } from '../../../base/geometry/placement.ts';
import type { Rect } from '../../../base/geometry/views.ts';
import type { FromLane, LaneStream, LaneTuning } from '../../../wire/protocol/threads.ts';
import type { FrameHeader } from '../../decode/ffmpeg-log.ts';
import { BlindSigns, SAMPLE_EVERY_MS, type SeenSign } from '../../preprocess/blind-signs.ts';
import type { PicturePart } from '../../preprocess/camera-motion.ts';
import { PictureSampler } from '../../preprocess/picture-sampler.ts';
import { encodeParts, encodePreview } from '../../preprocess/preview.ts';
import { isSameSize, type LaneViews } from './lane-views.ts';

/** Longest time without a picture: while somebody watches, and only to find signs. What comes by itself may come more often. */
const WATCHED_EVERY_MS = 500;
const UNWATCHED_EVERY_MS = 1000;
/** Timers jitter: what is due every 500 ms may come this much early. */
const EARLY_MS = 50;

/** Takes previews and signs; memory in `transfer` is handed over without a copy. */
interface PicturePort {
  post(message: FromLane, transfer?: readonly ArrayBuffer[]): void;
}

/** A decoded picture as ffmpeg wrote it. */
export interface DecodedPicture {
  /** The model's inputs, or the full picture. Valid during the call only. */
  readonly pixels: Uint8Array;
  readonly header: FrameHeader;
  readonly ptsUs: PtsUs;
  /** Number of the newest frame that is not newer than it. */
  readonly frame: number;
  /** frame: it is that frame, which may get a result; dropped: it was, but there was no room for it; look: it was asked for. */
  readonly kind: 'frame' | 'dropped' | 'look';
}

/** A preview is made this much later than it is due: a frame with boxes of its own may come. A look comes only if nothing else does. */
const LATER_MS = { frame: 0, dropped: 100, look: -100 } as const;

/**
 * What a lane makes of decoded pictures besides frames, whether or not they become frames: previews while somebody watches, and
 * the signs that the camera is blind. Each has a rate of its own.
 */
export class LanePictures {
  readonly #port: PicturePort;
  readonly #views: LaneViews | null;
  #stream: LaneStream;
  readonly #signs = new BlindSigns();
  #sampler: { readonly header: FrameHeader; readonly sampler: PictureSampler } | null = null;
  #isWatched = false;
  #tunings = 0;
  #nextPreviewMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #sampledMs = Number.NEGATIVE_INFINITY;
  #sign: SeenSign | null = null;
  #isDark: boolean | null = null;
  #canTellFrozen: boolean | null = null;
  /** The preview that is being encoded. It is delivered even if the stream ends meanwhile. */
  #previewing: Promise<void> = Promise.resolve();

  constructor(stream: LaneStream, port: PicturePort, views: LaneViews | null) {
    this.#stream = stream;
    this.#port = port;
    this.#views = views;
  }

  set isWatched(isWatched: boolean) {
    this.#isWatched = isWatched;
  }

  /** A sign that is not looked for any more is taken back with the next picture. */
  tune(tuning: LaneTuning): void {
    this.#tunings += 1;
    this.#stream = { ...this.#stream, ...tuning };
  }

  /** When the last picture came. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Longest time that may pass without a picture; null: none is needed. */
  get lookEveryMs(): number | null {
    const forSigns = this.#stream.signs.length > 0 ? UNWATCHED_EVERY_MS : null;
    if (!this.#isWatched) return forSigns;
    const forPreview = Math.max(WATCHED_EVERY_MS, 1000 / this.#stream.preview.fps);
    return Math.min(forPreview, forSigns ?? forPreview);
  }

  /** Looks for signs in a picture, of which nobody gets anything else. */
  sample(picture: DecodedPicture): void {
    this.#lastMs = monoNowMs();
    if (this.#stream.signs.length > 0 || this.#sign !== null) this.#look(picture);
  }

  /** Makes a preview of a picture if somebody watches. */
  show(picture: DecodedPicture): void {
    if (this.#isWatched) this.#preview(picture);
  }

  /** Resolves when no preview is being encoded. */
  finished(): Promise<void> {
    return this.#previewing;
  }

  /** Live pictures are judged by the time at which they come, those of a file by their own. */
  #look({ pixels, header, ptsUs }: DecodedPicture): void {
    const { ring, policy, signs, input } = this.#stream;
    // A test picture may be still.
    const isTest = input.kind === 'video' && input.source.kind === 'synthetic';
    const wanted = isTest ? signs.filter((sign) => sign !== 'frozen') : signs;
    const nowMs = policy === 'live' ? monoNowMs() : ptsUs / 1000;
    // Media time goes back where a file begins again.
    const passedMs = Math.abs(nowMs - this.#sampledMs);
    if (passedMs < SAMPLE_EVERY_MS - EARLY_MS) return;
    this.#sampledMs = nowMs;
    const seen = this.#signs.update(this.#samplerFor(header).sample(pixels), nowMs, wanted);
    const { isDark } = this.#signs;
    const canTellFrozen = wanted.includes('frozen') ? this.#signs.canTellFrozen : null;
    const isSame = seen?.sign === this.#sign?.sign && isDark === this.#isDark;
    if (isSame && canTellFrozen === this.#canTellFrozen) return;
    this.#sign = seen;
    this.#isDark = isDark;
    this.#canTellFrozen = canTellFrozen;
    const ageMs = seen === null ? 0 : nowMs - seen.sinceMs;
    const since = {
      sinceMs: Math.round(Date.now() - ageMs),
      ptsUs: Math.max(0, Math.round(ptsUs - ageMs * 1000)) as PtsUs,
    };
    this.#port.post({ type: 'sign', ringId: ring.ringId, sign: seen?.sign ?? null, isDark, canTellFrozen, ...since });
  }

  /** A source that changes its size lies elsewhere in the written picture. */
  #samplerFor(header: FrameHeader): PictureSampler {
    if (this.#sampler === null || !isSameSize(this.#sampler.header, header)) {
      const { rowPx, area } = largestPart(this.#stream, this.#views, header);
      this.#sampler = { header, sampler: new PictureSampler(rowPx, area) };
    }
    return this.#sampler.sampler;
  }

  /** Makes a picture, at most `preview.fps` a second. */
  #preview(picture: DecodedPicture): void {
    const now = monoNowMs();
    const everyMs = 1000 / this.#stream.preview.fps;
    const { ptsUs, frame, kind, header } = picture;
    if (now < this.#nextPreviewMs + LATER_MS[kind]) return;
    // From the due time on, not from the picture: frames that come a bit late would make the pictures fewer.
    this.#nextPreviewMs = (now - this.#nextPreviewMs < everyMs ? this.#nextPreviewMs : now) + everyMs;
    const { ringId } = this.#stream.ring;
    const { width, height } = header;
    const isFrame = kind === 'frame';
    const tunings = this.#tunings;
    this.#previewing = this.#encode(picture).then(
      (jpeg) =>
        this.#port.post({ type: 'preview', ringId, frame, isFrame, ptsUs, width, height, tunings, jpeg }, [
          jpeg.buffer as ArrayBuffer,
        ]),
      (error: unknown) =>
        this.#port.post({ type: 'warning', ringId, message: `preview failed: ${(error as Error).message}` }),
    );
  }

  async #encode({ pixels, header }: DecodedPicture): Promise<Uint8Array> {
    const { width: sourceWidth, height: sourceHeight } = header;
    const { picture, preview } = this.#stream;
    const size = { sourceWidth, sourceHeight, maxWidth: preview.maxWidth, quality: preview.quality };
    if (picture === null && this.#views !== null) return encodeParts(this.#views.previewParts(pixels, header), size);
    const { canvas, content } = canvasFit(this.#stream, header);
    const shown = { width: canvas.width, height: canvas.height, content: fitOnTarget(content, canvas) };
    if (content.x >= 0 && content.y >= 0) return encodePreview(pixels, { ...shown, ...size });
    // Only the middle of the picture was decoded at this size.
    const { scaleX, scaleY, offsetX, offsetY } = placementOf(header, content);
    const bounds = {
      x: -offsetX / scaleX,
      y: -offsetY / scaleY,
      width: canvas.width / scaleX,
      height: canvas.height / scaleY,
    };
    return encodeParts([{ pixels, ...shown, bounds }], size);
  }
}

function sizeOf({ width, height }: Rect): number {
  return width * height;
}

/** Returns the picture that ffmpeg writes, and where the source lies in it. */
export function canvasFit(
  { picture, spec }: Pick<LaneStream, 'picture' | 'spec'>,
  header: FrameHeader,
): { readonly canvas: { readonly width: number; readonly height: number }; readonly content: Fit } {
  const canvas = picture ?? spec.input;
  return { canvas, content: fitInto(header, canvas, picture === null ? spec.input.resize : PICTURE_FIT) };
}

/** Returns the rectangles of the picture that ffmpeg writes which show the source. */
export function pictureAreas(
  stream: Pick<LaneStream, 'picture' | 'spec'>,
  views: LaneViews | null,
  header: FrameHeader,
): readonly Rect[] {
  if (views !== null) return views.areas(header);
  const { canvas, content } = canvasFit(stream, header);
  return [fitOnTarget(content, canvas)];
}

/** Returns where the largest part of the source lies in the picture that ffmpeg writes, and at which scale. */
export function largestPart(
  stream: Pick<LaneStream, 'picture' | 'spec'>,
  views: LaneViews | null,
  header: FrameHeader,
): PicturePart {
  const { canvas, content } = canvasFit(stream, header);
  const areas = pictureAreas(stream, views, header);
  const view = areas.reduce((most, area, i) => (sizeOf(area) > sizeOf(areas[most]!) ? i : most), 0);
  // Where ffmpeg makes the inputs, each view has a scale of its own.
  const placed = stream.picture === null && views !== null ? views.placed(header)[view]!.placement : null;
  const { scaleX, scaleY } = placed ?? placementOf(header, content);
  return { rowPx: canvas.width, area: areas[view]!, scaleX, scaleY };
}
