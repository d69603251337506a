import type { HostPrice, ReportCapacity } from './report-input.ts';

/** Cameras that a plan is made for. */
export const FLEET_SIZES = [10, 100, 1000] as const;

/** How many cameras one host takes. */
export interface HostLoad {
  /** At its limit. */
  readonly cameras: number;
  /** With the headroom kept free, rounded down. */
  readonly planned: number;
  /** False: predicted from frames per second, since no number of cameras was measured. */
  readonly isMeasured: boolean;
}

/**
 * Cameras of `cameraFps` frames/s for one host: as measured, scaled if the measured cameras had another rate; else frames per
 * second divided by a camera's rate.
 */
export function hostLoad(
  capacity: Pick<ReportCapacity, 'cameras' | 'cameraFps'> | null,
  fps: number,
  cameraFps: number,
  headroomRatio: number,
): HostLoad {
  const cameras =
    capacity === null ? Math.floor(fps / cameraFps) : Math.floor((capacity.cameras * capacity.cameraFps) / cameraFps);
  return { cameras, planned: Math.floor(cameras * (1 - headroomRatio) + 1e-9), isMeasured: capacity !== null };
}

/** Hosts for some cameras; null if one host does not take a single camera. */
export function hostsFor(cameras: number, { planned }: HostLoad): number | null {
  return planned === 0 ? null : Math.ceil(cameras / planned);
}

/** Price of one camera for a month, with one spare host if `hasSpare`; null if no host takes a camera. */
export function pricePerCamera(cameras: number, load: HostLoad, price: HostPrice, hasSpare: boolean): number | null {
  const hosts = hostsFor(cameras, load);
  return hosts === null ? null : ((hosts + (hasSpare ? 1 : 0)) * price.amount) / cameras;
}
