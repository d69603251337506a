import { ABOUT_SPEED, type Guard, guardSettings } from './guard.ts';

/** An inference does not cost more. */
export const deviceTime = {
  // Of an equal model the time by the clock rose by 18 % on a quiet machine of two cores, and by 51 % on a busy one; CPU time
  // rises less, but a thread with a quarter of the streams runs on cold caches.
  settings: guardSettings(
    'What an inference costs.',
    0.5,
    10,
    'Largest relative rise of the CPU time of an inference.',
  ),
  subject: 'the CPU time of an inference',
  harm: 'rise',
  unit: 'relative',
  needs: 'cpu-time',
  bySides: {
    usual: { a: ({ deviceMs }) => deviceMs, b: ({ frames }) => frames },
    a: ({ deviceMs }) => deviceMs,
    b: ({ usual, frames }) => usual * frames,
  },
  advice: ABOUT_SPEED,
} as const satisfies Guard;
