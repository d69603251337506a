import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { ClipBlock } from '../../../frame/decode/cut-blocks.ts';
import { pixelHash } from '../../../frame/preprocess/sharp-preprocessor.ts';
import type { CocoAnnotations } from '../../../network/evaluate/coco-dataset.ts';
import { picturePaths } from '../../../network/evaluate/coco-files.ts';
import { splitDataset, subsetOf } from '../../../network/evaluate/split-dataset.ts';

/** Labelled pictures. */
export interface Labels {
  readonly annotations: CocoAnnotations;
  /** In the order of the annotations' images. */
  readonly paths: readonly string[];
  readonly folder: string;
}

/** What a verdict stands on. */
export interface EvidencePart {
  readonly labels: Labels | null;
  readonly blocks: readonly ClipBlock[];
}

/** The part that chooses and the part that judges. No picture and no block is in both. */
export interface Evidence {
  readonly search: EvidencePart;
  /** Only finalists see it, once. */
  readonly heldOut: EvidencePart;
}

/**
 * Share of the evidence that the search gets. A few pictures suffice to put candidates in order; the verdict needs many, since the width
 * of its interval falls with their square root only.
 */
const SEARCH_SHARE = 0.25;
/** More pictures than this only take time. */
const MOST_SEARCH_PICTURES = 200;
/** Every k-th block of the recording is the search's. */
const BLOCK_STRIDE = 4;

/** Returns the labelled pictures of a folder. @throws DATASET_INVALID if a name leads out of it. */
export function labelsIn(annotations: CocoAnnotations, folder: string): Labels {
  return { annotations, folder, paths: picturePaths(annotations, folder) };
}

/**
 * Splits labelled pictures by image and the recording by blocks in time, spread over its whole length.
 *
 * @param holdOut - labelled pictures of their own for the verdict; null takes three quarters of `labels`.
 */
export function splitEvidence(labels: Labels | null, holdOut: Labels | null, blocks: readonly ClipBlock[]): Evidence {
  const [searchLabels, heldOutLabels] = splitLabels(labels, holdOut);
  // The first block is often the quiet start of a recording, so the search's blocks begin with the second.
  const isSearched = (i: number): boolean => (blocks.length < BLOCK_STRIDE ? i === 0 : i % BLOCK_STRIDE === 1);
  return {
    search: { labels: searchLabels, blocks: blocks.filter((_, i) => isSearched(i)) },
    heldOut: { labels: heldOutLabels, blocks: blocks.filter((_, i) => !isSearched(i)) },
  };
}

/**
 * Checks that each labelled picture exists exactly once: a duplicate could both choose and judge, and would count as evidence twice.
 * Pictures are compared by their pixels, scaled down, so a copy is found under another name or with other metadata.
 *
 * @throws DATASET_INVALID for a picture that cannot be read, or one that is there twice.
 */
export async function requireDistinct(labels: Labels | null, holdOut: Labels | null): Promise<void> {
  const known = new Map<string, string>();
  for (const set of [labels, holdOut])
    for (const [place, path] of (set?.paths ?? []).entries()) {
      const { path: annotations, images } = set!.annotations;
      const where = `${annotations}: images[${place}] (${images[place]!.fileName})`;
      const pixels = await pixelHash(path).catch((cause: unknown) => {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new SightlineError(
          'DATASET_INVALID',
          `${where}: expected a picture at ${path}: ${reason}`,
          {},
          { cause },
        );
      });
      const same = known.get(pixels);
      if (same !== undefined)
        throw new SightlineError(
          'DATASET_INVALID',
          `${where}: expected each picture once, received that of ${same} again`,
        );
      known.set(pixels, where);
    }
}

function splitLabels(labels: Labels | null, holdOut: Labels | null): [Labels | null, Labels | null] {
  if (labels === null) return [null, null];
  const number = labels.paths.length;
  const searched = Math.min(MOST_SEARCH_PICTURES, holdOut === null ? Math.ceil(number * SEARCH_SHARE) : number);
  const { first, second } = splitDataset(labels.annotations, searched);
  return [labelsAt(labels, first), holdOut ?? labelsAt(labels, second)];
}

/** As many of the pictures, each class with its share. */
export function fewerLabels(labels: Labels, number: number): Labels {
  if (number >= labels.paths.length) return labels;
  return labelsAt(labels, splitDataset(labels.annotations, number).first);
}

/** As many of the blocks, spread evenly. */
export function fewerBlocks(blocks: readonly ClipBlock[], number: number): readonly ClipBlock[] {
  if (number >= blocks.length) return blocks;
  return Array.from({ length: number }, (_, i) => blocks[Math.floor(((i + 0.5) * blocks.length) / number)]!);
}

function labelsAt({ annotations, paths, folder }: Labels, places: readonly number[]): Labels {
  return { annotations: subsetOf(annotations, places), folder, paths: places.map((place) => paths[place]!) };
}
