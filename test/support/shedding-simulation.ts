import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { MicroBatcher } from '../../src/frame/batch/micro-batcher.ts';
import { LoadShedder, type SheddableStream } from '../../src/frame/runtime/inference/load-shedder.ts';
import { ManualClock } from './manual-clock.ts';

/** How long ffmpeg takes to follow a command: a tick of the lane, and its own poll. */
const COMMAND_MS = [50, 250] as const;
const MAX_AGE_MS = 500;

export interface CameraSettings {
  readonly fps: number;
  readonly weight?: number;
  readonly priority?: number;
  readonly queueSize?: number;
  /** Model inputs of a frame. */
  readonly views?: number;
  /** A file: its queue has no end, and it is never shed. */
  readonly isFile?: boolean;
  /** Largest deviation of an arrival, as a share of the interval. */
  readonly jitter?: number;
}

class Camera implements SheddableStream {
  readonly id: string;
  readonly weight: number;
  priority: number;
  readonly views: number;
  readonly settings: CameraSettings;
  fps: number;
  nextMs: number;
  /** Frames that ffmpeg has decoded. */
  number = 0;
  counts = { entered: 0, shed: 0, wasted: 0, inferred: 0 };
  /** What the controller asked for, and what ffmpeg does. */
  #asked = 1;
  applied = 1;
  changes = 0;
  readonly #command: (camera: Camera) => void;

  constructor(id: string, settings: CameraSettings, nowMs: number, command: (camera: Camera) => void) {
    this.id = id;
    this.settings = settings;
    ({ fps: this.fps, weight: this.weight = 1, priority: this.priority = 0, views: this.views = 1 } = settings);
    this.nextMs = nowMs;
    this.#command = command;
  }

  get intake(): SheddableStream['intake'] {
    const camera = this;
    return {
      counts: { ...camera.counts },
      get keepRatio() {
        return camera.#asked;
      },
      set keepRatio(keepRatio: number) {
        if (keepRatio === camera.#asked) return;
        camera.#asked = keepRatio;
        camera.changes += 1;
        camera.#command(camera);
      },
    };
  }

  get keepRatio(): number {
    return this.#asked;
  }
}

export interface EngineSettings {
  readonly threads?: number;
  readonly batchSize?: number;
  /** Time of a call of this many inputs at this time. */
  callMs(inputs: number, nowMs: number): number;
}

interface Item {
  readonly camera: Camera;
  readonly capturedMs: number;
  queuedMs: number;
}

export interface Span {
  readonly seconds: number;
  /** Results a second of each camera. */
  readonly inferred: Readonly<Record<string, number>>;
  readonly total: number;
  /** Share of the frames that were not shed and were dropped afterwards. */
  readonly wastedRatio: number;
  /** Share of the frames that were shed. */
  readonly shedRatio: number;
  /** Share of the time in which a thread was free and no frame waited. */
  readonly starved: number;
  /** Mean time from capture to the start of the call. */
  readonly waitMs: number;
  readonly changes: number;
}

/** Cameras, the real queues and a detector in simulated time, with the real controller or without any. */
export class SheddingSimulation {
  readonly clock = new ManualClock();
  readonly cameras = new Map<string, Camera>();
  readonly shedder: LoadShedder;
  readonly #batcher = new MicroBatcher<Item>({ maxDelayMs: 5 });
  readonly #threads: { untilMs: number; items: readonly Item[] }[];
  readonly #random: () => number;
  readonly #hasShedder: boolean;
  engine: EngineSettings;
  #starvedMs = 0;
  #waitMs = 0;
  #started = 0;

  constructor(engine: EngineSettings, seed: number, hasShedder = true) {
    this.engine = engine;
    this.#random = seededRandom(seed);
    this.#hasShedder = hasShedder;
    this.#threads = Array.from({ length: engine.threads ?? 1 }, () => ({ untilMs: 0, items: [] }));
    this.shedder = new LoadShedder(this.clock, {
      streams: () => [...this.cameras.values()].filter(({ settings }) => settings.isFile !== true),
      starvedMs: () => this.#starvedMs,
      onShedding: (id, sharers) => {
        const camera = this.cameras.get(id)!;
        const { queueSize = 2 } = camera.settings;
        this.#serve(
          camera,
          sharers === 0
            ? queueSize
            : Math.min(queueSize, Math.ceil((this.#batchSize * this.#threads.length) / sharers)),
        );
      },
    });
  }

  get #batchSize(): number {
    return this.engine.batchSize ?? 1;
  }

  add(id: string, settings: CameraSettings): Camera {
    const now = this.clock.now();
    const startMs = now + (this.#random() * 1000) / settings.fps;
    const camera = new Camera(id, settings, startMs, () => {
      const [least, most] = COMMAND_MS;
      const keep = camera.keepRatio;
      this.clock.setTimer(
        () => {
          camera.applied = keep;
        },
        least + this.#random() * (most - least),
      );
    });
    this.cameras.set(id, camera);
    this.#serve(camera, settings.queueSize ?? 2);
    return camera;
  }

  #serve({ id, settings, weight, priority, views }: Camera, queueSize: number): void {
    const policy = settings.isFile === true ? { queueSize: null, maxAgeMs: null } : { queueSize, maxAgeMs: MAX_AGE_MS };
    this.#batcher.setStream(id, { weight, priority, views, ...policy });
  }

  setPriority(id: string, priority: number): void {
    const camera = this.cameras.get(id)!;
    camera.priority = priority;
    this.#serve(camera, camera.settings.queueSize ?? 2);
  }

  remove(id: string): void {
    this.cameras.delete(id);
    this.#batcher.removeStream(id);
  }

  /** Runs in steps of one millisecond. */
  run(seconds: number): Span {
    const cameras = [...this.cameras.values()];
    const before = new Map(cameras.map(({ id, counts, changes }) => [id, { ...counts, changes }]));
    const [starvedMs, waitMs, started] = [this.#starvedMs, this.#waitMs, this.#started];
    for (let ms = 0; ms < seconds * 1000; ms++) this.#step();
    const sum = (of: (camera: Camera, then: Camera['counts'] & { changes: number }) => number): number =>
      cameras.reduce((total, camera) => total + of(camera, before.get(camera.id)!), 0);
    const kept = sum(({ counts }, then) => counts.entered - then.entered - (counts.shed - then.shed));
    const inferred = cameras.map(({ id, counts }) => [id, (counts.inferred - before.get(id)!.inferred) / seconds]);
    return {
      seconds,
      inferred: Object.fromEntries(inferred),
      total: sum(({ counts }, then) => counts.inferred - then.inferred) / seconds,
      wastedRatio: sum(({ counts }, then) => counts.wasted - then.wasted) / Math.max(1, kept),
      shedRatio:
        sum(({ counts }, then) => counts.shed - then.shed) /
        Math.max(
          1,
          sum(({ counts }, then) => counts.entered - then.entered),
        ),
      starved: (this.#starvedMs - starvedMs) / (seconds * 1000),
      waitMs: (this.#waitMs - waitMs) / Math.max(1, this.#started - started),
      changes: sum(({ changes }, then) => changes - then.changes),
    };
  }

  #step(): void {
    this.clock.advance(1);
    const now = this.clock.now();
    for (const camera of this.cameras.values()) this.#arrive(camera, now);
    let isStarved = false;
    for (const thread of this.#threads) {
      if (thread.untilMs > now) continue;
      for (const { camera } of thread.items) camera.counts.inferred += 1;
      thread.items = [];
      const next = this.#batcher.next(now, this.#batchSize);
      for (const { camera } of next.stale) this.#waste(camera);
      if (next.kind !== 'batch') isStarved = true;
      else {
        for (const { capturedMs } of next.items) this.#waitMs += now - capturedMs;
        this.#started += next.items.length;
        thread.items = next.items;
        thread.untilMs = Math.max(thread.untilMs, now - 1) + this.engine.callMs(next.inputs, now);
      }
    }
    if (isStarved) this.#starvedMs += 1;
  }

  #arrive(camera: Camera, now: number): void {
    const { isFile = false, jitter = 0 } = camera.settings;
    if (isFile) {
      while (this.#batcher.depth(camera.id) < 4)
        this.#batcher.add(camera.id, { camera, capturedMs: now, queuedMs: now }, now);
      return;
    }
    for (; camera.nextMs <= now; ) {
      camera.nextMs += (1000 / camera.fps) * (1 + jitter * (2 * this.#random() - 1));
      const number = camera.number++;
      camera.counts.entered += 1;
      const { applied } = camera;
      if (applied < 1 && (number * applied) % 1 >= applied) {
        camera.counts.shed += 1;
        continue;
      }
      for (const displaced of this.#batcher.add(camera.id, { camera, capturedMs: now, queuedMs: now }, now))
        this.#waste(displaced.camera);
    }
  }

  #waste(camera: Camera): void {
    camera.counts.wasted += 1;
    if (this.#hasShedder) this.shedder.onWasted();
  }
}
