import type { LoadResult, LoadStep } from '../../src/lab/loadtest/load-result.ts';
import { NO_FAULTS } from './trial-figures.ts';

/** A step of a load test with plausible figures. */
export function sampleStep(changes: Partial<LoadStep> = {}): LoadStep {
  return {
    name: '4 cameras',
    cameras: 4,
    seconds: 10,
    offeredFps: 100,
    fps: 99.5,
    frames: 995,
    latencyMs: { count: 995, p50: 21, p95: 33, p99: 41, max: 57 },
    oldestMs: 57,
    dropRatio: 0.005,
    dropped: { 'queue-full': 5 },
    lostAtCameras: 0,
    conservationGap: 0,
    faults: { ...NO_FAULTS, frames: 1000, dropped: { 'queue-full': 5 } },
    stagesMs: null,
    fairness: 0.998,
    shares: [],
    machine: null,
    cameraCpuCores: 0.04,
    cameraLateMs: 3,
    targets: [{ target: 'p99<=50ms', measured: 41, state: 'met', reason: '0 of 995 frames took longer', gap: 0.18 }],
    verdict: 'met',
    constraints: [{ part: 'infer', busyRatio: 0.97, explanation: 'Inference is busy.', remedy: 'A faster engine.' }],
    ...changes,
  };
}

/** The result of a stress test. */
export function sampleLoad(changes: Partial<LoadResult> = {}): LoadResult {
  const step = sampleStep();
  return {
    profile: 'stress',
    subject: 'gate.yaml',
    createdAt: '2026-01-02T03:04:05.000Z',
    seconds: 184,
    seed: 1,
    verdict: 'met',
    reason: 'all targets are met',
    targets: step.targets,
    steps: [step, sampleStep({ name: '7 cameras', cameras: 7, verdict: 'missed' })],
    cameras: {
      count: 11,
      protocol: 'http',
      cpuCores: 0.05,
      rssBytes: 80e6,
      framesOffered: 4321,
      framesLost: 17,
      framesUnread: 12,
      lateMs: 4,
    },
    breakPoint: {
      cameras: 6,
      isProven: true,
      brokenAt: 7,
      firstToGive: 'infer',
      target: 'p99<=50ms',
      explanation: 'Inference takes 38.2 ms a frame on 1 thread.',
    },
    degradation: {
      cameras: 11,
      areAgesBounded: true,
      oldestMs: 512,
      maxAgeMs: 500,
      isFair: true,
      fairness: 0.987,
      leastShare: 0.9,
      areDropsNamed: true,
      dropped: { 'queue-full': 831 },
    },
    recoverySeconds: 1.5,
    slopes: [],
    notes: [],
    ...changes,
  };
}
