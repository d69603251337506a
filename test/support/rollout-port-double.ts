import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { RolloutAction, RolloutPort } from '../../src/wire/protocol/ports/rollout-port.ts';
import type { RolloutVerb } from '../../src/wire/protocol/rest.ts';
import type {
  Decision,
  RolloutReport,
  ShadowObservation,
  VersionReport,
} from '../../src/wire/protocol/rollout-records.ts';
import { guardReport } from './rollout-doubles.ts';

/** A roll-out that the test sets, driven through `shadow` and `emitEvent`. */
export class RolloutPortDouble implements RolloutPort {
  readonly calls: string[] = [];
  report: RolloutReport | null;
  trouble: string | null = null;
  readonly #events = new Set<(event: EventMessage) => void>();
  readonly #shadows = new Set<(observation: ShadowObservation) => void>();

  constructor(report: RolloutReport | null = rolloutReport()) {
    this.report = report;
  }

  rollout(): RolloutReport | null {
    return this.report;
  }

  problem(): string | null {
    return this.trouble;
  }

  async startRollout(_: unknown, who: string): Promise<RolloutReport> {
    this.calls.push(`start by ${who}`);
    return this.report!;
  }

  async actOnRollout(verb: RolloutVerb, { who, isFull, seen }: RolloutAction): Promise<RolloutReport> {
    const at = seen === null ? '' : ` step ${seen.step} of ${seen.rollout}`;
    this.calls.push(`${verb}${at}${isFull ? ' fully' : ''} by ${who}`);
    return this.report!;
  }

  async rolloutHistory(): Promise<readonly Decision[]> {
    return [];
  }

  versions(): readonly VersionReport[] {
    return [];
  }

  onRolloutEvent(listener: (event: EventMessage) => void): () => void {
    this.#events.add(listener);
    return () => this.#events.delete(listener);
  }

  onShadow(listener: (observation: ShadowObservation) => void): () => void {
    this.#shadows.add(listener);
    return () => this.#shadows.delete(listener);
  }

  shadow(observation: ShadowObservation): void {
    for (const listener of this.#shadows) listener(observation);
  }

  emitEvent(event: EventMessage): void {
    for (const listener of this.#events) listener(event);
  }
}

export function rolloutReport(more: Partial<RolloutReport> = {}): RolloutReport {
  return {
    id: 'rollout-3',
    pipeline: 'people',
    state: 'running',
    step: 2,
    steps: [0, 1, 10, 50, 100, 100],
    share: 10,
    members: 1,
    candidateStreams: ['gate'],
    streams: 12,
    from: 'people@2',
    to: 'people@3',
    shadow: false,
    stepStreams: [0, 0, 1, 6, 12, 12],
    heldBy: null,
    startedBy: 'anna',
    startedMs: 1_700_000_000_000,
    stepStartedMs: 1_700_000_000_000,
    endedMs: null,
    holdMs: 60_000,
    minFrames: 1000,
    frames: 840,
    fence: 1_700_000_000_000_000,
    guards: [
      guardReport('pass', { guard: 'errors', kind: 'hard', estimate: 0, low: null, high: null, margin: 0.05 }),
      guardReport('pass', { estimate: 0.004, low: -0.008, high: 0.016 }),
      guardReport('undecided', { guard: 'p99', estimate: 0.06, low: -0.03, high: 0.15, margin: 0.1 }),
      guardReport('fail', { guard: 'boxes', estimate: -0.19, low: -0.24, high: -0.14, margin: 0.1 }),
      guardReport('no-data', { guard: 'deviceTime', estimate: null, low: null, high: null, margin: 0.2, frames: 0 }),
    ],
    reason: '7 guards pass on 1 204 frames: agreement: F1 is 0.002 lower (-0.010 to 0.014), the margin is 0.03.',
    predicted: null,
    measured: null,
    waitsFor: 'Waiting for frames (840 of 1000) and the guard p99: about 4 min left.',
    ...more,
  };
}
