import { type FrameMatches, NOT_ASKED } from './frame-matches.ts';

/** How many objects have the same attribute on both sides. */
export interface AttributeAgreement {
  readonly attribute: string;
  /** Tracks of the reference that have it for at least `FEWEST_FRAMES` frames. */
  readonly objects: number;
  /** Those for which the candidate says the same in more than half of these frames. */
  readonly agreeing: number;
  /** 95 % interval of the share (Wilson, "Probable inference, the law of succession, and statistical inference", 1927). */
  readonly interval: readonly [number, number];
}

/** An object that has an attribute for a moment says little: tracks that short are mostly false. */
const FEWEST_FRAMES = 5;
const Z = 1.96;

/** Compares the attributes of each object of the reference, by their labels, with those of the same object of the candidate; vectors are left out. */
export function compareAttributes(frames: readonly FrameMatches[]): AttributeAgreement[] {
  const lives = new Map<string, Map<number, { frames: number; same: number }>>();
  for (const { reference, candidate, found } of frames)
    for (const [i, { trackId, attributes = {} }] of reference.entries()) {
      if (trackId === undefined || found[i] === NOT_ASKED) continue;
      for (const [attribute, { label }] of Object.entries(attributes)) {
        if (label === undefined) continue;
        const tracks = lives.get(attribute) ?? new Map<number, { frames: number; same: number }>();
        const life = tracks.get(trackId) ?? { frames: 0, same: 0 };
        life.frames += 1;
        if (candidate[found[i]!]?.attributes?.[attribute]?.label === label) life.same += 1;
        lives.set(attribute, tracks.set(trackId, life));
      }
    }
  return [...lives].flatMap(([attribute, tracks]) => {
    const long = [...tracks.values()].filter((life) => life.frames >= FEWEST_FRAMES);
    const agreeing = long.filter(({ frames: seen, same }) => same * 2 > seen).length;
    if (long.length === 0) return [];
    return [{ attribute, objects: long.length, agreeing, interval: wilson(agreeing, long.length) }];
  });
}

function wilson(successes: number, trials: number): [number, number] {
  const share = successes / trials;
  const middle = share + Z ** 2 / (2 * trials);
  const half = Z * Math.sqrt((share * (1 - share)) / trials + Z ** 2 / (4 * trials ** 2));
  return [middle - half, middle + half].map((end) => end / (1 + Z ** 2 / trials)) as [number, number];
}
