import type { ModelSpec } from '../../../base/core/model.ts';
import type { SlotRing } from '../../../base/flow/slot-ring.ts';
import { type Fit, fitInto, PICTURE_FIT, type Placement } from '../../../base/geometry/placement.ts';
import { placeView, type Rect, type View, type ViewPlacement } from '../../../base/geometry/views.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';
import type { FrameHeader } from '../../decode/ffmpeg-log.ts';
import type { PreviewPart } from '../../preprocess/preview.ts';
import { SharpPreprocessor } from '../../preprocess/sharp-preprocessor.ts';

type PlacedView = ViewPlacement & { readonly crop: Rect; readonly fit: Fit };

/** The views of a stream's frames while the source keeps one size. */
interface ViewPlan {
  readonly header: FrameHeader;
  readonly placed: readonly PlacedView[];
  /** What makes each input from the full picture; empty if ffmpeg makes them. */
  readonly preprocessors: readonly SharpPreprocessor[];
}

/**
 * The views of one stream: where each lies in its model input, and what makes that input. If there is a second model, its
 * inputs come after those of the first, with the same views.
 */
export class LaneViews {
  readonly #views: readonly View[];
  readonly #stream: Pick<LaneStream, 'spec' | 'second' | 'picture'>;
  readonly #ring: SlotRing;
  /** Views that no other view encloses. */
  readonly #outermost: readonly number[];
  #plan: ViewPlan | null = null;

  constructor(views: readonly View[], stream: Pick<LaneStream, 'spec' | 'second' | 'picture'>, ring: SlotRing) {
    this.#views = views;
    this.#stream = stream;
    this.#ring = ring;
    this.#outermost = [...views.keys()].filter(
      (at) =>
        !views.some((other, i) => i !== at && encloses(other, views[at]!) && (i < at || !encloses(views[at]!, other))),
    );
  }

  get #specs(): readonly ModelSpec[] {
    const { spec, second } = this.#stream;
    return second === undefined ? [spec] : [spec, second];
  }

  /** Writes where the views of a frame lie into its slot. @returns the placement of the first one. */
  place(slot: number, header: FrameHeader): Placement {
    const { placed } = this.#planFor(header);
    for (const [view, place] of placed.entries()) this.#ring.writeView(slot, view, place);
    return placed[0]!.placement;
  }

  /** Makes the model inputs from the full picture in the slot. */
  async preprocess(slot: number, header: FrameHeader): Promise<void> {
    const { preprocessors } = this.#planFor(header);
    const picture = this.#ring.picture(slot);
    for (const [view, preprocessor] of preprocessors.entries()) {
      const { width, height } = this.#specs[Math.floor(view / this.#views.length)]!.input;
      await preprocessor.run(picture, this.#ring.input(slot, view).subarray(0, width * height * 3));
    }
  }

  /**
   * Returns the model inputs that show together all that the model is shown.
   *
   * @param inputs - as ffmpeg wrote them, one after the other.
   */
  previewParts(inputs: Uint8Array, header: FrameHeader): PreviewPart[] {
    const { placed } = this.#planFor(header);
    const { width, height } = this.#stream.spec.input;
    return this.#outermost.map((view) => {
      const { fit: content, bounds } = placed[view]!;
      const bytes = width * height * 3;
      return { pixels: inputs.subarray(view * bytes, (view + 1) * bytes), width, height, content, bounds };
    });
  }

  /** Returns where each view of the own model lies in its input. */
  placed(header: FrameHeader): readonly ViewPlacement[] {
    // A second model has the same views.
    return this.#planFor(header).placed.slice(0, this.#views.length);
  }

  /** Returns where the views lie in what ffmpeg writes: the full picture, or their inputs one below the other. In pixels. */
  areas(header: FrameHeader): Rect[] {
    const { picture, spec } = this.#stream;
    const placed = this.#planFor(header).placed.slice(0, this.#views.length);
    if (picture === null) return placed.map(({ fit }, view) => ({ ...fit, y: fit.y + view * spec.input.height }));
    const { x, y } = fitInto(header, picture, PICTURE_FIT);
    return placed.map(({ crop }) => ({ ...crop, x: x + crop.x, y: y + crop.y }));
  }

  /** Computed when the source changes its size, not for every frame. */
  #planFor(header: FrameHeader): ViewPlan {
    if (this.#plan === null || !isSameSize(this.#plan.header, header)) this.#plan = this.#planOf(header);
    return this.#plan;
  }

  #planOf(header: FrameHeader): ViewPlan {
    const { picture, spec } = this.#stream;
    if (picture === null) {
      const { width, pixelAspect } = header.stored ?? { width: header.width, pixelAspect: 1 };
      const onStored = { scaleX: width / header.width, scaleY: 1, offsetX: 0, offsetY: 0 };
      const stored = { width, height: header.height };
      const placed = this.#views.map((view) => placeView(view, stored, pixelAspect, onStored, spec.input));
      return { header, placed, preprocessors: [] };
    }
    const content = fitInto(header, picture, PICTURE_FIT);
    const [scaleX, scaleY] = [content.width / header.width, content.height / header.height];
    const onContent = { scaleX, scaleY, offsetX: 0, offsetY: 0 };
    const made = this.#specs.flatMap((model) =>
      this.#views.map((view) => {
        const place = placeView(view, content, 1, onContent, model.input);
        const inPicture = { ...place.crop, x: content.x + place.crop.x, y: content.y + place.crop.y };
        return { place, preprocessor: new SharpPreprocessor(model, picture, inPicture) };
      }),
    );
    const preprocessors = made.map(({ preprocessor }) => preprocessor);
    return { header, placed: made.map(({ place }) => place), preprocessors };
  }
}

function encloses(outer: View, inner: View): boolean {
  return (
    outer.left <= inner.left && outer.top <= inner.top && outer.right >= inner.right && outer.bottom >= inner.bottom
  );
}

/** True if pictures with these headers lie in the same place of a canvas. */
export function isSameSize(
  a: Pick<FrameHeader, 'width' | 'height' | 'stored'>,
  b: Pick<FrameHeader, 'width' | 'height' | 'stored'>,
): boolean {
  return (
    a.width === b.width &&
    a.height === b.height &&
    a.stored?.width === b.stored?.width &&
    a.stored?.pixelAspect === b.stored?.pixelAspect
  );
}
