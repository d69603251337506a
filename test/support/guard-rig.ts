import type { Detection } from '../../src/base/core/detection.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { type GuardsConfig, guardsConfig } from '../../src/fleet/control/rollout/guards/guards.ts';
import { isControlTurn } from '../../src/fleet/control/rollout/membership.ts';
import { type GuardOptions, RolloutGuards } from '../../src/fleet/control/rollout/rollout-guards.ts';
import type { GuardReport, SideObservation } from '../../src/wire/protocol/rollout-records.ts';

export const GUARD_CAMERAS = ['gate', 'yard', 'hall', 'dock'];
/** One frame in five is inferred by both sides. */
const PAIRED_EVERY = 5;

/** What one side does in a second of a camera. */
export interface Behaviour {
  readonly frames?: number;
  readonly dropped?: number;
  readonly failed?: number;
  readonly latencyFactor?: number;
  /** Added to every latency. */
  readonly stallMs?: number;
  readonly deviceMs?: number;
  /** Share of the CPU that others take. */
  readonly othersRatio?: number;
  /** What it detects of what is there. */
  readonly sees?: (there: readonly Detection[]) => readonly Detection[];
}

export interface GuardRigOptions {
  readonly guards?: Parameters<typeof guardsConfig.parse>[0];
  readonly cameras?: readonly string[];
  readonly fps?: number;
  readonly target?: NonNullable<SideObservation['target']>;
  /** Of the candidate, if it takes other frames on purpose. */
  readonly pace?: NonNullable<SideObservation['pace']>;
  readonly hasShadow?: boolean;
  /** false: another input size, so the candidate runs all the time and no frame is inferred by both. */
  readonly takesTurns?: boolean;
  /** Live cameras, which send at their own rate. */
  readonly isOwnRate?: boolean;
  /** Score below which the candidate publishes nothing; that of the control is 0.3. */
  readonly candidateThreshold?: number;
  readonly isOtherDetector?: boolean;
  readonly settled?: readonly string[];
  /** Cameras that show two cars as well as three persons. */
  readonly withCars?: readonly string[];
}

/**
 * A panel that sees what hosts of a real step send: each camera runs with the side whose turn it is, the second in which it changes
 * is left out, and every fifth frame is inferred by both sides. Both sides behave alike unless a test says otherwise.
 */
export class GuardRig {
  nowMs = 1_700_000_000_000;
  readonly options: GuardOptions;
  readonly cameras: readonly string[];
  panel: RolloutGuards;
  readonly #rig: Required<Pick<GuardRigOptions, 'fps' | 'takesTurns' | 'withCars'>> & GuardRigOptions;
  readonly #random = seededRandom(5);
  #second = 0;

  constructor(rig: GuardRigOptions = {}) {
    this.#rig = { fps: 25, takesTurns: true, withCars: [], ...rig };
    this.cameras = rig.cameras ?? GUARD_CAMERAS;
    this.options = {
      guards: guardsConfig.parse(rig.guards ?? {}) as GuardsConfig,
      steps: 4,
      controlThreshold: 0.3,
      candidateThreshold: rig.candidateThreshold ?? 0.3,
      isOtherDetector: rig.isOtherDetector ?? false,
      settled: rig.settled ?? [],
      isAlone: false,
      lacks: rig.hasShadow === false ? ['shadow'] : [],
      nowMs: () => this.nowMs,
    };
    this.panel = new RolloutGuards(this.options);
  }

  /** The step at 0 %: the control alone; then the first step begins. */
  warmUp(seconds = 60, control: (camera: string, second: number) => Behaviour = () => ({})): this {
    for (let i = 0; i < seconds; i++) {
      for (const camera of this.cameras) this.panel.observe(this.side(camera, 'control', control(camera, i)));
      this.pass();
    }
    this.panel.reset(false);
    return this;
  }

  /** Some seconds of a step that all cameras are in. */
  run(
    seconds: number,
    candidate: (camera: string, second: number) => Behaviour = () => ({}),
    control: (camera: string, second: number) => Behaviour = () => ({}),
  ): this {
    for (let i = 0; i < seconds; i++) {
      for (const camera of this.cameras) this.#runSecond(camera, candidate(camera, i), control(camera, i));
      this.pass();
    }
    return this;
  }

  /** Runs until a guard fails. @returns seconds; null if none did within the time. */
  secondsUntilFailure(
    most: number,
    ...sides: Parameters<GuardRig['run']> extends [number, ...infer Rest] ? Rest : never
  ): number | null {
    for (let i = 1; i <= most; i++) if (this.run(1, ...sides).failed !== null) return i;
    return null;
  }

  pass(): void {
    this.#second += 1;
    this.nowMs += 1000;
  }

  /** One second of a side. Latencies are 20 to 120 ms, most of them short. */
  side(stream: string, side: SideObservation['side'], behaviour: Behaviour = {}): SideObservation {
    const { fps, target, pace, isOwnRate = false } = this.#rig;
    const { frames = fps, dropped = 0, failed = 0, latencyFactor = 1, stallMs = 0 } = behaviour;
    const { deviceMs = frames * (8 + this.#random()), sees = (there) => there, othersRatio } = behaviour;
    const latency = (): number => latencyFactor * 20 * (1 / (1 - 0.97 * this.#random())) ** 0.5 + stallMs;
    const seen = sees(this.scene(stream, this.#second * fps));
    return {
      stream,
      side,
      frames,
      dropped,
      failed,
      deviceMs,
      fpsAttained: frames,
      seconds: 1,
      latenciesMs: Array.from({ length: frames }, latency),
      boxes: seen.length * frames,
      scoreSum: seen.reduce((sum, { score }) => sum + score, 0) * frames,
      isOwnRate,
      ...(othersRatio === undefined ? {} : { othersRatio }),
      ...(target === undefined ? {} : { target }),
      ...(pace === undefined || side === 'control' ? {} : { pace }),
    };
  }

  /** Objects that walk through the picture, so that no two frames show the same. */
  scene(camera: string, frame: number): Detection[] {
    const objects = this.#rig.withCars.includes(camera) ? ['person', 'person', 'person', 'car', 'car'] : PERSONS;
    return objects.map((label, i) => ({
      classId: label === 'car' ? 2 : 0,
      label,
      score: 0.7,
      box: [(frame * 9 + i * 300) % 1200, 100 + i * 50, 60, 150],
    }));
  }

  report(guard: string): GuardReport {
    const report = this.panel.reports().find((found) => found.guard === guard);
    if (report === undefined) throw new Error(`no guard ${guard}`);
    return report;
  }

  /** The first guard that fails. */
  get failed(): GuardReport | null {
    return this.panel.reports().find(({ verdict }) => verdict === 'fail') ?? null;
  }

  verdicts(kind: GuardReport['kind'] = 'statistical'): Record<string, string> {
    const reports = this.panel.reports().filter((report) => report.kind === kind);
    return Object.fromEntries(reports.map(({ guard, verdict }) => [guard, verdict]));
  }

  #runSecond(camera: string, candidate: Behaviour, control: Behaviour): void {
    const { takesTurns, fps } = this.#rig;
    const isControl = (ms: number): boolean => takesTurns && isControlTurn(camera, ms);
    const side = isControl(this.nowMs) ? 'control' : 'candidate';
    if (isControl(this.nowMs - 1000) === isControl(this.nowMs))
      this.panel.observe(this.side(camera, side, side === 'control' ? control : candidate));
    if (!takesTurns) return;
    for (let i = 0; i < fps; i += PAIRED_EVERY) {
      const frame = this.#second * fps + i;
      const there = this.scene(camera, frame);
      const [one, two] = [control, candidate].map(({ sees }) => sees?.(there) ?? there) as [Detection[], Detection[]];
      const { controlThreshold, candidateThreshold } = this.options;
      const [own, other] = [byThreshold(one, controlThreshold), byThreshold(two, candidateThreshold)];
      const weak = { control: own.weak, candidate: other.weak };
      this.panel.observe({ stream: camera, frame, control: own.published, candidate: other.published, weak });
    }
  }
}

/** What a host sends of a side. */
function byThreshold(boxes: readonly Detection[], threshold: number): { published: Detection[]; weak: Detection[] } {
  return {
    published: boxes.filter(({ score }) => score >= threshold),
    weak: boxes.filter(({ score }) => score < threshold && score >= threshold - 0.1),
  };
}

const PERSONS = ['person', 'person', 'person'];

/** A candidate that does something else on one camera. */
export function on(camera: string, behaviour: Behaviour): (name: string) => Behaviour {
  return (name) => (name === camera ? behaviour : {});
}

export const BLIND: Behaviour = { sees: () => [] };
export const WITHOUT_CARS: Behaviour = { sees: (there) => there.filter(({ label }) => label !== 'car') };

export function all(verdict: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, verdict]));
}
