import type { Detection } from '../../src/base/core/detection.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { FullLoad } from '../../src/fleet/control/rollout/full-load.ts';
import { isControlTurn, isMember, membersOf } from '../../src/fleet/control/rollout/membership.ts';
import { decide, isActive, isAlone, start } from '../../src/fleet/control/rollout/rollout-machine.ts';
import type { GuardPanel } from '../../src/fleet/control/rollout/rollout-panels.ts';
import { rolloutPanels } from '../../src/fleet/control/rollout/rollout-panels.ts';
import { firstVersion } from '../../src/fleet/control/rollout/versions.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import type { Rollout, ShadowObservation, SideObservation, Version } from '../../src/wire/protocol/rollout-records.ts';
import type { RecordedResults } from './recorded-results.ts';

/** What is different about the candidate on one stream. */
export interface CandidateEffect {
  /** Probability that it misses an object for two seconds. */
  readonly missRatio?: number;
  /** Label of a class that it does not find; `all`: it finds nothing. */
  readonly lost?: string;
  /** Probability that a frame has a box where nothing is. */
  readonly invents?: number;
  /** Added to all its scores. */
  readonly shift?: number;
  /** Factor of all its latencies. */
  readonly latencyFactor?: number;
  /** Frames per second that it attains at most; the others are dropped. */
  readonly mostFps?: number;
  /** Share of its inferences that fail. */
  readonly failRatio?: number;
  /** It behaves like this in the last step only, when nobody compares it. */
  readonly isOnlyAlone?: boolean;
}

/** Another process on the machine of the streams. While it is busy, both sides drop frames, and are late. */
export interface Neighbour {
  /** Whether it is busy in a second of the roll-out. @param aloneFor - seconds since the candidate was first alone; null before. */
  readonly isBusy: (second: number, aloneFor: number | null) => boolean;
  /** Share of the frames that arrive and are dropped meanwhile, by either side. */
  readonly dropRatio: number;
  /** Share of the frames that do not arrive, since the source cannot be read fast enough. */
  readonly missingRatio: number;
  readonly latencyFactor: number;
  /** Share of the machine's CPU that it takes. */
  readonly taken: number;
}

/** One roll-out to simulate, as `rollout start` would begin it. */
export interface Scenario {
  readonly streams: number;
  readonly fps: number;
  /** Percentages, the last 100; the step `100 alone` follows by itself. */
  readonly steps: readonly number[];
  readonly holdSeconds: number;
  /** The effect on each stream by its number; none: the candidate is equal. */
  readonly effectOn: (stream: number) => CandidateEffect | null;
  /** Recorded clips that the streams show, by number; the default is all of them in turn. */
  readonly clips?: readonly number[];
  /** What a camera shows both sides, of the boxes that were recorded. */
  readonly shows?: (stream: number, second: number, recorded: readonly Detection[]) => readonly Detection[];
  /** What the candidate does to streams that use the control meanwhile. */
  readonly spill?: CandidateEffect;
  readonly target?: NonNullable<SideObservation['target']>;
  readonly neighbour?: Neighbour;
  /**
   * Only rates and latencies are simulated: both sides see the same boxes, cameras send frames a little early or late, and the tail of
   * latencies is that of a machine with room: it falls as steeply as their logarithm to this power of the recorded one.
   */
  readonly tailExponent?: number;
}

const EQUAL: CandidateEffect = {};
/** A share d of objects missed makes F1 = 2 (1 - d) / (2 - d): 0.95 for this one. */
export const LESS_F1: CandidateEffect = { missRatio: 0.1 / 1.05 };
/** A scale of 1.2 is a 99th percentile of 1.2. */
export const MORE_P99: CandidateEffect = { latencyFactor: 1.2 };

/** What both sides did in one second. */
export interface SimulatedSecond {
  readonly sides: readonly SideObservation[];
  readonly shadow: readonly ShadowObservation[];
}

/** How a roll-out ended. */
export interface SimulatedEnd {
  readonly state: 'promoted' | 'rolled-back';
  /** Since its start, and since a stream with an effect first ran with the candidate (null if none did). */
  readonly seconds: number;
  readonly exposedSeconds: number | null;
  /** The guard that rolled it back; null if none did. */
  readonly guard: string | null;
  readonly reason: string;
}

export const SCORE_THRESHOLD = 0.3;
const SCORE_SLACK = 0.1;
const SHADOW_RATIO = 0.2;
/** Part of these frames that the control infers while the candidate is alone. */
const ALONE_SHARE = 0.1;
/** A box where nothing is. */
const INVENTED: Detection = { classId: 99, label: 'class 99', score: 0.9, box: [5, 5, 20, 20] };
const MIN_FRAMES = 1000;
/** Length of the pieces that latencies are drawn in: longer than their correlation. */
const PIECE_SECONDS = 10;
const RECORDED_FPS = 10;
const MISSED_SECONDS = 2;
const CELL_PX = 64;
const DROP_RATIO = 0.003;
const DEVICE_MS = 8;
const CLOSE_SECONDS = 120;
const LOOK_SECONDS = 5;
const START_MS = 1_700_000_000_000;
/** A frame is due at any place in a second, and up to this part of the time between two frames later. */
const JITTER = 0.5;
/** What both sides see where only rates are simulated. */
const BOX: Detection = { classId: 0, label: 'person', score: 0.9, box: [100, 100, 60, 150] };

/**
 * Runs one roll-out through its real steps, membership, turns, guards and rules, once a second: only what the streams do is made up.
 *
 * Detections of the control are those recorded in f32, of the candidate those in bf16, each with a little noise on the scores, so
 * that weak boxes flip. Latencies are drawn from the recording in pieces of ten seconds, for all streams and both sides together, so
 * that stalls hit all at once as they did.
 */
export class SimulatedRollout {
  readonly #recorded: RecordedResults;
  readonly #scenario: Scenario;
  readonly #random: () => number;
  readonly #seed: number;
  readonly #names: readonly string[];
  readonly #places: readonly { readonly clip: number; readonly start: number }[];
  readonly #latenciesMs: readonly (readonly number[])[];
  /** Frames that each stream has sent, with jitter: differences are whole numbers. */
  readonly #sent: number[];
  readonly #pieces = new Pieces();
  readonly #panel: GuardPanel;
  readonly #load: FullLoad;
  #rollout: Rollout;
  #second = 0;
  #stepFrames = 0;
  #stepSecond = 0;
  #exposedAt: number | null = null;
  #aloneAt: number | null = null;

  constructor(recorded: RecordedResults, scenario: Scenario, seed: number) {
    this.#recorded = recorded;
    this.#scenario = scenario;
    this.#seed = seed;
    const { tailExponent = 1 } = scenario;
    this.#latenciesMs = recorded.latenciesMs.map((series) =>
      toEqualTail(series).map((ms) => P99_MS * (ms / P99_MS) ** tailExponent),
    );
    this.#random = seededRandom(seed);
    const clips = scenario.clips ?? recorded.clips.map((_, i) => i);
    this.#names = Array.from({ length: scenario.streams }, (_, i) => `camera-${i}`);
    this.#places = this.#names.map((_, i) => {
      const clip = clips[i % clips.length]!;
      return { clip, start: Math.floor(this.#random() * recorded.clips[clip]!.frames.length) };
    });
    this.#sent = this.#names.map(() => 0);
    const panels = rolloutPanels({ scoreThreshold: () => SCORE_THRESHOLD, judgesDeviceTime: () => true });
    const [from, to] = [versionOf('old'), versionOf('new')];
    const settings = {
      pipeline: 'people',
      from,
      to,
      versions: [from, to],
      minFrames: MIN_FRAMES,
      steps: [0, ...scenario.steps, 100],
      holdMs: scenario.holdSeconds * 1000,
      guards: panels.check({}),
      shadowRatio: SHADOW_RATIO,
      // As `rollout start` does where the first share has no stream.
      shadow: membersOf(this.#names, scenario.steps[0]!).length === 0,
    };
    const { rollout } = start(null, settings, { who: 'bench', nowMs: this.#nowMs, evidence: NOTHING });
    this.#rollout = { ...rollout, fence: this.#nowMs * 1000 };
    this.#panel = panels.open(this.#rollout, null, () => this.#nowMs);
    this.#load = new FullLoad(this.#rollout.guards);
  }

  /** Simulates the next second and decides. @returns the end if it ended. */
  next(): SimulatedEnd | null {
    const seen = this.#observe();
    this.#second += 1;
    const alone = isAlone(this.#rollout);
    for (const side of seen.sides) {
      this.#panel.observe(side);
      this.#load.add(side, alone, 'control', this.#panel.usualLatencyOf(side.stream), this.#nowMs);
    }
    for (const frame of seen.shadow) this.#panel.observe(frame);
    const hasMembers = membersOf(this.#names, this.#rollout.share).length > 0;
    if (!hasMembers) this.#stepFrames += seen.shadow.length;
    for (const { side, frames } of seen.sides) this.#stepFrames += hasMembers && side === 'candidate' ? frames : 0;
    // A real controller looks every second; after two minutes every fifth look is simulated, which changes little and takes a quarter.
    const closeSeconds = this.#hasBoxes ? CLOSE_SECONDS : 0;
    if (this.#second - this.#stepSecond <= closeSeconds || this.#second % LOOK_SECONDS === 0) this.#decide();
    return isActive(this.#rollout) ? null : this.#end(this.#rollout.state === 'promoted' ? 'promoted' : 'rolled-back');
  }

  /** Simulates the next second at a share that nobody decides on. */
  nextAt(share: number): SimulatedSecond {
    this.#rollout = { ...this.#rollout, share };
    const seen = this.#observe();
    this.#second += 1;
    return seen;
  }

  get #nowMs(): number {
    return START_MS + this.#second * 1000;
  }

  #decide(): void {
    const { share, steps, step } = this.#rollout;
    const members = membersOf(this.#names, share);
    const next = membersOf(this.#names, steps[step + 1] ?? 0);
    const evidence = {
      frames: this.#stepFrames,
      unready: this.#panel.withoutBaseline(next).length,
      silent: this.#panel.silent(members).length,
      needsControl: isAlone(this.#rollout) && this.#load.needsControl,
      reports: [...this.#panel.reports(), ...(isAlone(this.#rollout) ? [this.#load.report(this.#nowMs)] : [])],
    };
    const change = decide(this.#rollout, members.length, { who: 'bench', nowMs: this.#nowMs, evidence });
    if (change === null) return;
    this.#rollout = { ...change.rollout, fence: this.#nowMs * 1000 };
    if (this.#rollout.step === step) return;
    this.#panel.reset(isAlone(this.#rollout));
    this.#load.begin(isAlone(this.#rollout), this.#nowMs);
    this.#stepFrames = 0;
    this.#stepSecond = this.#second;
  }

  #end(state: SimulatedEnd['state']): SimulatedEnd {
    const { reason } = this.#rollout;
    const exposedSeconds = this.#exposedAt === null ? null : this.#second - this.#exposedAt;
    const guard = state === 'rolled-back' ? (/^(\w+):/.exec(reason)?.[1] ?? null) : null;
    return { state, seconds: this.#second, exposedSeconds, guard, reason };
  }

  #observe(): SimulatedSecond {
    const { effectOn, spill, fps } = this.#scenario;
    const alone = isAlone(this.#rollout);
    if (alone) this.#aloneAt ??= this.#second;
    const sides: SideObservation[] = [];
    const shadow: ShadowObservation[] = [];
    for (const [stream, name] of this.#names.entries()) {
      const isIn = isMember(name, this.#rollout.share);
      const sideAt = (afterMs: number): 'control' | 'candidate' =>
        isIn && (alone || !isControlTurn(name, this.#nowMs + afterMs)) ? 'candidate' : 'control';
      const side = sideAt(0);
      const wanted = effectOn(stream);
      const effect = wanted?.isOnlyAlone === true && !alone ? null : wanted;
      if (side === 'candidate' && effect !== null) this.#exposedAt ??= this.#second;
      const spilt = (this.#rollout.share > 0 ? spill : undefined) ?? EQUAL;
      const published = this.#counts(stream, name, side, side === 'candidate' ? (effect ?? EQUAL) : spilt);
      for (let i = 0; i < fps; i++) {
        if (this.#random() >= SHADOW_RATIO) continue;
        const frame = this.#second * fps + i;
        const { weak, ...pair } = this.#hasBoxes ? this.#detections(stream, frame, effect ?? EQUAL) : SAME_BOX;
        published.boxes += pair[side].length / SHADOW_RATIO;
        published.scoreSum += scoreSum(pair[side]) / SHADOW_RATIO;
        if ((isIn || this.#rollout.shadow) && (!alone || this.#random() < ALONE_SHARE))
          shadow.push({ stream: name, frame, ...pair, weak });
      }
      // A host leaves out the second in which a stream changed its version.
      if (sideAt(-1000) === side) sides.push(published);
    }
    return { sides, shadow };
  }

  #counts(
    stream: number,
    name: string,
    side: 'control' | 'candidate',
    effect: CandidateEffect,
  ): Mutable<SideObservation> {
    const { fps, target, neighbour } = this.#scenario;
    const { latencyFactor = 1, failRatio = 0, mostFps = fps } = effect;
    const aloneFor = this.#aloneAt === null ? null : this.#second - this.#aloneAt;
    const busy = neighbour?.isBusy(this.#second, aloneFor) === true ? neighbour : null;
    const usualDrops = this.#hasBoxes ? DROP_RATIO : 0;
    const slow = (1 - usualDrops) * Math.max(0, 1 - mostFps / fps);
    const arrived = this.#arrived(stream, busy?.missingRatio ?? 0);
    let [dropped, failed] = [0, 0];
    for (let i = 0; i < arrived; i++) {
      if (this.#random() < usualDrops + slow + (busy?.dropRatio ?? 0) * (1 - slow)) dropped += 1;
      else if (this.#random() < failRatio) failed += 1;
    }
    const frames = arrived - dropped - failed;
    const factor = latencyFactor * (busy?.latencyFactor ?? 1);
    const latenciesMs = Array.from({ length: frames }, (_, i) => this.#latency(stream, i) * factor);
    return {
      ...this.#ofHost(busy),
      stream: name,
      side,
      frames,
      dropped,
      failed,
      latenciesMs,
      boxes: 0,
      scoreSum: 0,
      seconds: 1,
      deviceMs: frames * DEVICE_MS * (1 + 0.1 * normal(this.#random)),
      fpsAttained: frames,
      ...(target === undefined ? {} : { target }),
    };
  }

  get #hasBoxes(): boolean {
    return this.#scenario.tailExponent === undefined;
  }

  /** Frames of a second. Where only rates are simulated, one may be in the second before or after its own. */
  #arrived(stream: number, missingRatio: number): number {
    const { fps } = this.#scenario;
    if (this.#hasBoxes) return fps;
    const phase = this.#places[stream]!.start / 100;
    const due = Math.floor((this.#second + 1) * fps + (phase % 1) + JITTER * this.#random());
    const arrived = Math.max(0, due - this.#sent[stream]!);
    this.#sent[stream] = due;
    let missing = 0;
    for (let i = 0; i < arrived; i++) if (this.#random() < missingRatio) missing += 1;
    return arrived - missing;
  }

  /** What a host says of its machine and of a camera. */
  #ofHost(busy: Neighbour | null): Partial<SideObservation> {
    return this.#hasBoxes ? {} : { isOwnRate: true, othersRatio: busy?.taken ?? 0.02 };
  }

  /** Streams that share a recorded series read it at different places. @param index - of the frame in this second. */
  #latency(stream: number, index: number): number {
    const count = this.#latenciesMs.length;
    const series = this.#latenciesMs[stream % count]!;
    const begin = this.#pieces.startOf(Math.floor(this.#second / PIECE_SECONDS), this.#random);
    const inPiece = (this.#second % PIECE_SECONDS) * RECORDED_FPS + (index * RECORDED_FPS) / this.#scenario.fps;
    const shift = Math.floor(stream / count) * 2.5 * PIECE_SECONDS * RECORDED_FPS;
    return series[Math.floor(begin * series.length + shift + inPiece) % series.length]!;
  }

  #detections(
    stream: number,
    frame: number,
    effect: CandidateEffect,
  ): Pick<ShadowObservation, 'control' | 'candidate'> & { readonly weak: NonNullable<ShadowObservation['weak']> } {
    const { clip, start: from } = this.#places[stream]!;
    const { frames } = this.#recorded.clips[clip]!;
    const { f32, bf16 } = frames[(from + frame) % frames.length]!;
    const { fps, shows = (_stream, _second, boxes) => boxes } = this.#scenario;
    const { invents = 0, shift = 0 } = effect;
    const [there, seen] = [f32, bf16].map((boxes) => shows(stream, frame / fps, boxes)) as [Detection[], Detection[]];
    const found = seen.filter((one) => !this.#isMissed(stream, frame, one, effect));
    const shifted = found.map((one) => ({ ...one, score: Math.max(0.01, one.score + shift) }));
    if (this.#random() < invents) shifted.push(INVENTED);
    const [control, candidate] = [noisy(there, this.#random), noisy(shifted, this.#random)];
    const isPublished = ({ score }: Detection): boolean => score >= SCORE_THRESHOLD;
    const isWeak = ({ score }: Detection): boolean => score < SCORE_THRESHOLD && score >= SCORE_THRESHOLD - SCORE_SLACK;
    return {
      control: control.filter(isPublished),
      candidate: candidate.filter(isPublished),
      weak: { control: control.filter(isWeak), candidate: candidate.filter(isWeak) },
    };
  }

  /** The same object is missed for a while: neighbouring frames are not independent. */
  #isMissed(stream: number, frame: number, { classId, label, box }: Detection, effect: CandidateEffect): boolean {
    const { missRatio = 0, lost } = effect;
    if (lost === 'all' || lost === label) return true;
    if (missRatio === 0) return false;
    const cell = [box[0] + box[2] / 2, box[1] + box[3] / 2].map((centre) => Math.floor(centre / CELL_PX));
    const period = Math.floor(frame / (MISSED_SECONDS * this.#scenario.fps));
    const keys = [this.#seed, stream, period, classId, ...cell];
    const hash = keys.reduce((mixed, key) => Math.imul(mixed ^ key, 0x01000193), 0x811c9dc5);
    return seededRandom(hash)() < missRatio;
  }
}

const SAME_BOX = { control: [BOX], candidate: [BOX], weak: { control: [], candidate: [] } };
const P99_MS = 100;

const NOTHING = { frames: 0, unready: 0, reports: [] };

function versionOf(name: string): Version {
  const parts = { model: modelConfig.parse({ name, engine: 'fake' }), batch: batchConfig.parse({}), weights: [name] };
  return firstVersion('people', parts, START_MS);
}

/** Where each piece of the simulated time starts in the recording, as a share of its length. */
class Pieces {
  readonly #starts: number[] = [];

  startOf(piece: number, random: () => number): number {
    while (this.#starts.length <= piece) this.#starts.push(random());
    return this.#starts[piece]!;
  }
}

/** Scales latencies to a 99th percentile of 100 ms, so that two recorded streams stand for two sides of one. */
function toEqualTail(latenciesMs: readonly number[]): number[] {
  const p99 = latenciesMs.toSorted((a, b) => a - b)[Math.floor(latenciesMs.length * 0.99)]!;
  return latenciesMs.map((latency) => (latency / p99) * P99_MS);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function scoreSum(detections: readonly Detection[]): number {
  return detections.reduce((sum, { score }) => sum + score, 0);
}

/** Noise of the scores' logits. The recorded f32 and bf16 differ by 0.19 in root mean square. */
const SCORE_NOISE = 0.1;

function noisy(detections: readonly Detection[], random: () => number): Detection[] {
  const result: Detection[] = [];
  for (const detection of detections) {
    const score = 1 / (1 + (1 / detection.score - 1) * Math.exp(SCORE_NOISE * normal(random)));
    result.push({ ...detection, score });
  }
  return result;
}

/** Approximately normal: the sum of four uniform numbers, scaled to a variance of 1. */
function normal(random: () => number): number {
  return (random() + random() + random() + random() - 2) * Math.sqrt(3);
}
