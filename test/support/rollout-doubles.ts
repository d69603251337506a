import { z } from 'zod';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { GuardPanel, GuardPanels } from '../../src/fleet/control/rollout/rollout-panels.ts';
import type { RolloutTarget, Sides } from '../../src/fleet/control/rollout/rollout-target.ts';
import { firstVersion } from '../../src/fleet/control/rollout/versions.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { check } from '../../src/settings/config/check.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import type { SeenStep } from '../../src/wire/protocol/rest.ts';
import type {
  GuardReport,
  GuardSettings,
  GuardVerdict,
  HostObservation,
  Observation,
  RecordedObservation,
  Rollout,
  SideObservation,
  Version,
} from '../../src/wire/protocol/rollout-records.ts';

export const CAMERAS = Array.from({ length: 12 }, (_, i) => `camera-${i}`);

export function version(label: string, name = label): Version {
  const parts = { model: modelConfig.parse({ name, engine: 'fake' }), batch: batchConfig.parse({}), weights: [name] };
  return { ...firstVersion('people', parts, 1_700_000_000_000), label };
}

export function rolloutRecord(more: Partial<Rollout> = {}): Rollout {
  const [from, to] = [version('people@1', 'old'), version('people@2', 'new')];
  return {
    id: 'rollout-1',
    pipeline: 'people',
    from,
    to,
    steps: [0, 10, 50, 100],
    step: 1,
    share: 10,
    state: 'running',
    shadow: false,
    shadowRatio: 0.2,
    heldBy: null,
    startedBy: 'anna',
    startedMs: 1000,
    stepStartedMs: 1000,
    endedMs: null,
    holdMs: 60_000,
    minFrames: 100,
    guards: {},
    reason: 'anna rolls out people@2.',
    versions: [from, to],
    fence: 7,
    ...more,
  };
}

/** The step that a person sees who reads the record. */
export function seen({ id, step }: Pick<Rollout, 'id' | 'step'>): SeenStep {
  return { rollout: id, step };
}

export function guardReport(verdict: GuardVerdict, more: Partial<GuardReport> = {}): GuardReport {
  return {
    guard: 'agreement',
    kind: 'statistical',
    verdict,
    estimate: 0.01,
    low: 0,
    high: 0.02,
    margin: 0.03,
    frames: 1200,
    reason: `it is ${verdict} on 1200 frames`,
    leftMs: null,
    ...more,
  };
}

export function sideObservation(more: Partial<SideObservation> = {}): SideObservation {
  return {
    stream: 'camera-0',
    side: 'candidate',
    frames: 25,
    dropped: 0,
    failed: 0,
    latenciesMs: [20],
    boxes: 30,
    scoreSum: 20,
    deviceMs: 200,
    fpsAttained: 25,
    seconds: 1,
    ...more,
  };
}

const settings = z.strictObject({ margin: z.number().min(0).max(1).default(0.03) });

/** A panel whose verdicts the test sets. It remembers what it observed, also over a snapshot. */
export class PanelDouble implements GuardPanel {
  observed: Observation[] = [];
  resets = 0;
  verdicts: readonly GuardReport[];
  readonly #panels: PanelsDouble;

  constructor(panels: PanelsDouble, verdicts: readonly GuardReport[], snapshot: unknown) {
    this.#panels = panels;
    this.verdicts = verdicts;
    if (snapshot !== null) this.observed = (snapshot as { observed: Observation[] }).observed;
  }

  observe(observation: Observation): void {
    this.observed.push(observation);
  }

  reports(): readonly GuardReport[] {
    return this.verdicts;
  }

  withoutBaseline(streams: readonly string[]): readonly string[] {
    return streams.filter((stream) => this.#panels.unready.includes(stream));
  }

  abandoned(): readonly string[] {
    return [];
  }

  readyInMs(streams: readonly string[]): number | null {
    return streams.length === 0 ? 0 : this.#panels.readyInMs;
  }

  silent(streams: readonly string[]): readonly string[] {
    return streams.filter((stream) => this.#panels.quiet.includes(stream));
  }

  usualLatencyOf(): number | null {
    return null;
  }

  reset(): void {
    this.observed = [];
    this.resets += 1;
  }

  snapshot(): unknown {
    return { observed: this.observed };
  }
}

export class PanelsDouble implements GuardPanels {
  readonly opened: PanelDouble[] = [];
  verdicts: readonly GuardReport[] = [guardReport('undecided')];
  /** Streams without a baseline. */
  unready: readonly string[] = [];
  readyInMs: number | null = null;
  /** Streams without frames. */
  quiet: readonly string[] = [];
  /** The clock of the newest panel. */
  nowMs: (() => number) | null = null;

  check(raw: unknown): GuardSettings {
    return check(settings, raw, 'guards');
  }

  open(_: Rollout, snapshot: unknown, nowMs: () => number): PanelDouble {
    this.nowMs = nowMs;
    const panel = new PanelDouble(this, this.verdicts, snapshot);
    this.opened.push(panel);
    return panel;
  }

  get newest(): PanelDouble {
    return this.opened.at(-1)!;
  }

  /** Sets the verdicts of all panels, open ones and later ones. */
  say(...verdicts: GuardReport[]): void {
    this.verdicts = verdicts;
    for (const panel of this.opened) panel.verdicts = verdicts;
  }
}

/** A host whose versions load without delay, unless the test makes that fail. */
export class TargetDouble implements RolloutTarget {
  readonly calls: string[] = [];
  readonly versions = new Map<string, string>();
  readonly shadows = new Map<string, string>();
  /** Share of the frames of a stream that both versions infer. */
  readonly ratios = new Map<string, number>();
  readonly loaded: Set<string>;
  sides: Sides | null = null;
  takesTurns = false;
  /** By stream: the version that infers some of its frames as well. */
  readonly beside = new Map<string, string | null>();
  isAlone = false;
  /** Hash of the version that new streams use. */
  adopted: string;
  failure: SightlineError | null = null;
  readonly #names: readonly string[];
  /** What it has found on its recordings; null while it says nothing. */
  found: RecordedObservation | null = null;
  /** Roll-out that it tries on its recordings. */
  tried: string | null = null;
  span: Rollout['recorded'];
  readonly #listeners = new Set<(observation: HostObservation) => void>();

  constructor(names: readonly string[], initial: Version) {
    this.#names = names;
    this.loaded = new Set([initial.hash]);
    this.adopted = initial.hash;
    for (const name of names) this.versions.set(name, initial.hash);
  }

  streams(): readonly string[] {
    return this.#names;
  }

  versionOf(stream: string): string {
    return this.versions.get(stream)!;
  }

  isLoaded(hash: string): boolean {
    return this.loaded.has(hash);
  }

  async load(wanted: Version): Promise<void> {
    this.calls.push(`load ${wanted.label}`);
    await Promise.resolve();
    if (this.failure !== null) throw this.failure;
    this.loaded.add(wanted.hash);
  }

  adopt(hash: string): void {
    if (!this.loaded.has(hash)) throw new SightlineError('ENGINE_UNAVAILABLE', `${hash}: not loaded`);
    this.adopted = hash;
  }

  turnCost(): 'none' | null {
    return this.takesTurns ? 'none' : null;
  }

  measureCost(isAlone: boolean): void {
    this.isAlone = isAlone;
  }

  async unload(hash: string): Promise<void> {
    if (hash === this.adopted) throw new Error('new streams use it');
    if ([...this.versions.values()].includes(hash)) throw new Error('a stream uses it');
    this.calls.push('unload');
    this.loaded.delete(hash);
  }

  assign(stream: string, hash: string, beside: string | null): void {
    this.beside.set(stream, beside);
    if (this.versions.get(stream) === hash) return;
    if (!this.loaded.has(hash)) throw new SightlineError('ENGINE_UNAVAILABLE', `${hash}: not loaded`);
    this.calls.push(`assign ${stream}`);
    this.versions.set(stream, hash);
  }

  shadow(stream: string, hash: string | null, ratio: number): void {
    this.ratios.set(stream, ratio);
    if (hash === null) this.shadows.delete(stream);
    else this.shadows.set(stream, hash);
  }

  compare(sides: Sides | null): void {
    this.sides = sides;
  }

  tryRecorded(rollout: Rollout | null): void {
    this.tried = rollout?.id ?? null;
    this.span = rollout?.recorded;
    if (rollout !== null && this.found !== null) for (const listener of this.#listeners) listener(this.found);
  }

  onObservation(listener: (observation: HostObservation) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  report(observation: Observation): void {
    for (const listener of this.#listeners) listener(observation);
  }

  /** Names of the streams that use a version. */
  users(hash: string): string[] {
    return this.#names.filter((name) => this.versions.get(name) === hash);
  }
}
