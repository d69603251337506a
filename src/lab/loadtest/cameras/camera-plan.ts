import { seededRandom } from '../../../base/core/seeded-random.ts';

/** What a camera does besides sending frames, in seconds since it was added. */
interface CameraEvent {
  readonly atS: number;
  /**
   * leave: it ends its connections and refuses new ones. return: it answers again.
   * freeze: connections stay, no frame is made. thaw: frames are made again, and media time has moved on.
   */
  readonly kind: 'leave' | 'return' | 'freeze' | 'thaw';
}

/** One virtual camera. */
export interface CameraSpec {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** Each frame is sent up to this much later than it is due; order is kept. */
  readonly jitterMs: number;
  /** Every `everyS` seconds, frames are held for `holdS` seconds and then sent at once; null for never. */
  readonly burst: { readonly everyS: number; readonly holdS: number } | null;
  /** In order of time. */
  readonly events: readonly CameraEvent[];
  readonly seed: number;
  /** Where its pictures come from: a video file; a test picture; or its own clock as a bar code (see `clock-code.ts`). */
  readonly pictures:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'test' }
    | { readonly kind: 'clock' };
}

/**
 * How unlike the cameras are.
 * - `steady`: all equal, no jitter, never away: a number of cameras is then a measure of load.
 * - `mixed`: sizes and rates differ, frames jitter; of eight cameras one sends bursts, one leaves and returns, one freezes.
 * - `peak`: sizes differ, all at their full rate, all send bursts, at the same times.
 */
export type CameraMix = 'steady' | 'mixed' | 'peak';

export interface CameraPlanOptions {
  readonly count: number;
  readonly mix: CameraMix;
  readonly seed: number;
  /** Length of the run; events lie within it. */
  readonly seconds: number;
  /** Full rate of a camera. */
  readonly fps: number;
  /** Size of every camera; null for the sizes of the mix. */
  readonly size: { readonly width: number; readonly height: number } | null;
  readonly pictures: CameraSpec['pictures'];
}

const SIZES = [
  { width: 640, height: 360 },
  { width: 1280, height: 720 },
  { width: 320, height: 180 },
] as const;
/** Shares of the full rate. */
const RATES = [1, 0.5, 1, 0.8] as const;
const MAX_JITTER_MS = 8;
const BURST = { everyS: 10, holdS: 0.2 };
/** Frozen for longer than `staleMs` has by default, so that the stream is reopened; away for longer than its back-off. */
const AWAY_S = { least: 4, most: 8 };
/** Time between two events of a camera. */
const PRESENT_S = { least: 8, most: 40 };

/** Plans cameras; the same options give the same cameras, and the first n of a larger number are the same n. */
export function planCameras(options: CameraPlanOptions): CameraSpec[] {
  return Array.from({ length: options.count }, (_, i) => planCamera(i, options));
}

function planCamera(i: number, { mix, seed, seconds, fps, size, pictures }: CameraPlanOptions): CameraSpec {
  const random = seededRandom(seed * 7919 + i);
  const { width, height } = size ?? SIZES[mix === 'steady' ? 0 : i % SIZES.length]!;
  const isMixed = mix === 'mixed';
  const away = i % 8 === 5 ? (['leave', 'return'] as const) : i % 8 === 7 ? (['freeze', 'thaw'] as const) : null;
  return {
    id: `camera-${i + 1}`,
    width,
    height,
    fps: isMixed ? fps * RATES[i % RATES.length]! : fps,
    jitterMs: isMixed ? random() * MAX_JITTER_MS : 0,
    burst: mix === 'peak' || (isMixed && i % 8 === 3) ? BURST : null,
    events: isMixed && away !== null ? awayTimes(away, seconds, random) : [],
    seed: Math.floor(random() * 2 ** 31),
    pictures,
  };
}

function awayTimes(
  [gone, back]: readonly ['leave', 'return'] | readonly ['freeze', 'thaw'],
  seconds: number,
  random: () => number,
): CameraEvent[] {
  const between = ({ least, most }: { least: number; most: number }): number => least + random() * (most - least);
  const events: CameraEvent[] = [];
  let atS = between(PRESENT_S);
  for (;;) {
    const backS = atS + between(AWAY_S);
    // It is there at the end.
    if (backS > seconds) return events;
    events.push({ atS, kind: gone }, { atS: backS, kind: back });
    atS = backS + between(PRESENT_S);
  }
}
