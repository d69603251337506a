import type { Detection } from '../../base/core/detection.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import type { EmbeddingRow } from './history-records.ts';

/** With 512 numbers each, 20 MB. */
const MOST_TRACKS = 5000;

type Attribute = NonNullable<Detection['attributes']>[string];
type Sight = { -readonly [K in keyof Omit<EmbeddingRow, 'vector'>]: EmbeddingRow[K] } & {
  newest: Attribute;
  best: Attribute;
};

/** The embeddings of the objects that were seen since the last call of `take`, each by its largest picture. Runs for each frame on the main thread. */
export class TrackVectors {
  readonly #sights = new Map<string, Sight>();

  /** @returns whether it should be emptied now. */
  observe(frame: PublishedFrame, nowMs: number): boolean {
    for (const detection of frame.detections) {
      const { attributes, trackId } = detection;
      if (attributes === undefined || trackId === undefined) continue;
      for (const name in attributes)
        if (attributes[name]!.vector !== undefined) this.#see(frame, detection, name, attributes[name]!, nowMs);
    }
    return this.#sights.size >= MOST_TRACKS;
  }

  take(): EmbeddingRow[] {
    const rows = [...this.#sights.values()].flatMap(({ newest: _newest, best, ...row }) => {
      const length = Math.hypot(...best.vector!);
      return length > 0 ? [{ ...row, vector: Float32Array.from(best.vector!, (value) => value / length) }] : [];
    });
    this.#sights.clear();
    return rows;
  }

  #see(frame: PublishedFrame, { label, trackId }: Detection, name: string, attribute: Attribute, nowMs: number): void {
    const { streamId, run = '', ptsUs, width, height } = frame;
    const key = `${streamId} ${run} ${trackId} ${name}`;
    const known = this.#sights.get(key);
    // The media time of a file that is played again jumps back.
    const lookedMs = nowMs - Math.max(0, ptsUs - attribute.atUs) / 1000;
    const best = { bestMs: lookedMs, bestUs: attribute.atUs, box: attribute.box!, width, height };
    if (known === undefined) {
      this.#sights.set(key, {
        stream: streamId,
        run,
        trackId: trackId!,
        attribute: name,
        label,
        model: attribute.model!,
        firstMs: lookedMs,
        lastMs: nowMs,
        firstUs: attribute.atUs,
        lastUs: ptsUs,
        ...best,
        newest: attribute,
        best: attribute,
      });
      return;
    }
    Object.assign(known, { label, lastMs: nowMs, lastUs: ptsUs });
    if (known.newest === attribute) return;
    known.newest = attribute;
    if (known.model === attribute.model && isLarger(known.box, attribute.box!)) return;
    Object.assign(known, { ...best, model: attribute.model, best: attribute });
  }
}

/** Returns whether the first of two boxes is the larger one. */
export function isLarger(one: EmbeddingRow['box'], other: EmbeddingRow['box']): boolean {
  return one[2] * one[3] > other[2] * other[3];
}
