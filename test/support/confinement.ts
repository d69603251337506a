import type { Confinement, Ffmpeg } from '../../src/base/process/confinement.ts';

/** A child with nothing but a PATH, and neither limits nor a sandbox. */
export const UNCONFINED: Confinement = {
  environment: { PATH: process.env.PATH ?? '' },
  networkEnvironment: {},
  maxPixels: 67_108_864,
  memoryBytes: null,
  shell: null,
  setpriv: null,
  sandbox: null,
  isSandboxNamed: false,
  systemPaths: [],
};

/** A program in the place of ffmpeg. */
export function programAs(path: string, confinement: Partial<Confinement> = {}): Ffmpeg {
  return { path, major: 6, confinement: { ...UNCONFINED, ...confinement } };
}
