/** Settings of a camera that let many frames through, whatever was changed before. */
export const CALM = {
  every: 1,
  maxFps: 1000,
  priority: 0,
  weight: 1,
  queueSize: 4,
  maxAgeMs: 5000,
  staleMs: 1000,
  target: null,
  track: false,
  zones: [],
  lines: [],
  skip: null,
  decodeThreads: 1,
  tiles: null,
  region: null,
  labels: null,
  scoreThreshold: null,
};

/** How a change names a setting that a camera does not have. */
export const UNSET = Object.fromEntries(
  ['maxFps', 'target', 'labels', 'scoreThreshold', 'skip', 'tiles', 'region'].map((key) => [key, null]),
);

/** Values of each setting that are valid beside every value of the others. */
const VALID: Readonly<Record<string, readonly unknown[]>> = {
  every: [1, 2, 5, 100],
  maxFps: [null, 0.5, 5, 12.5, 1000],
  priority: [-3, 0, 7],
  weight: [0.5, 1, 4],
  queueSize: [1, 2, 8, 64],
  maxAgeMs: [1, 100, 5000],
  staleMs: [1000, 3000],
  target: [null, {}, { latencyMs: 50 }],
  labels: [null, ['person'], ['person', 'car']],
  scoreThreshold: [null, 0.6],
  track: [false, true, { minHits: 1, lostMs: 5000 }, { lowScore: 0.2, highScore: 0.5, newScore: 0.6 }],
  zones: [
    [],
    [
      {
        id: 'z',
        polygon: [
          [0, 0],
          [0.5, 0],
          [0.5, 0.5],
        ],
      },
    ],
  ],
  lines: [[], [{ id: 'l', from: [0, 0.5], to: [1, 0.5] }]],
  skip: [null, {}, { unchanged: true }, { trackBetween: 3 }, { unchanged: true, trackBetween: 'auto' }],
  decodeThreads: [0, 1, 2],
  tiles: [null, { columns: 1, rows: 1 }, { columns: 2, rows: 1 }],
  region: [null, { x: 0, y: 0, width: 1, height: 1 }, { x: 0.25, y: 0.25, width: 0.5, height: 0.5 }],
};

const INVALID: readonly Readonly<Record<string, unknown>>[] = [
  { track: { highScore: 0.6, newScore: 0.4 } },
  { lines: [{ id: 'l', from: [0.5, 0.5], to: [0.5, 0.5] }] },
  {
    zones: [0, 1].map(() => ({
      id: 'z',
      polygon: [
        [0, 0],
        [1, 0],
        [1, 1],
      ],
    })),
  },
  { maxFps: 2, target: { fps: 5 } },
  { every: 0 },
  { queueSize: 'large' },
  { source: '' },
  { unknown: 1 },
];

/**
 * Returns a change of up to three settings, a quarter of them invalid.
 *
 * @param random - uniform in [0, 1).
 */
export function randomPatch(random: () => number): {
  readonly patch: Record<string, unknown>;
  readonly isValid: boolean;
} {
  if (random() < 0.25) return { patch: { ...pick(INVALID, random) }, isValid: false };
  return { patch: validPatch(random), isValid: true };
}

/** Returns a valid change of up to three settings. */
export function validPatch(random: () => number): Record<string, unknown> {
  const keys = Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(Object.keys(VALID), random));
  return Object.fromEntries(keys.map((key) => [key, pick(VALID[key]!, random)]));
}

/** Returns an entry of a list. */
export function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}
