import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { Target } from '../measure/targets.ts';
import type { CameraPlanOptions, CameraSpec } from './cameras/camera-plan.ts';
import { planCameras } from './cameras/camera-plan.ts';
import { CameraProcess } from './cameras/camera-process.ts';
import type { CameraServerStats } from './cameras/camera-server.ts';
import type { CameraCost, CameraProtocol, LoadStep } from './load-result.ts';
import { type CameraSpan, LoadSpan, loadStep } from './load-step.ts';
import type { LoadObserver, LoadSubject, LoadWindow } from './load-subject.ts';

/** What the cameras of a load test are like. */
export interface RigOptions extends Omit<CameraPlanOptions, 'count'> {
  readonly protocol: CameraProtocol;
  /** Address on which cameras listen and are reached. */
  readonly cameraHost: string;
  readonly ffmpeg: Ffmpeg;
  /** Names the n-th stream, from 1. */
  readonly streamId: (n: number) => string;
  readonly signal: AbortSignal;
  /** Receives sentences about what is going on. */
  readonly note?: (text: string) => void;
}

export interface MeasureOptions {
  readonly name: string;
  readonly seconds: number;
  readonly targets: readonly Target[];
  /** Not measured, at the start. */
  readonly settleSeconds: number;
  /**
   * Goes on, up to this long in all, while there are too few frames for a verdict: the span is judged after `seconds`, after twice as
   * long, and so on. Each of these looks has its part of the risk of a wrong verdict.
   */
  readonly mostSeconds?: number;
  /** Called after each window. */
  readonly onWindow?: (window: LoadWindow) => Promise<void>;
}

const WINDOW_S = 1;

/** Seconds after which a span is judged, fixed before it begins: twice as long each time. */
export function plannedLooks(seconds: number, mostSeconds: number): number[] {
  const looks = [seconds];
  while (looks.at(-1)! * 2 <= mostSeconds) looks.push(looks.at(-1)! * 2);
  return looks;
}

/** Virtual cameras and the streams that read them, in any number, and what is measured of them. */
export class LoadRig {
  readonly #subject: LoadSubject;
  readonly #options: RigOptions;
  readonly #process: CameraProcess | null;
  #specs: readonly CameraSpec[] = [];
  /** What was measured of the cameras. */
  readonly #sums = { cpuMs: 0, seconds: 0, rssBytes: 0, lateMs: 0, offered: 0, lost: 0, unread: 0 };
  #most = 0;

  private constructor(subject: LoadSubject, options: RigOptions, process: CameraProcess | null) {
    this.#subject = subject;
    this.#options = options;
    this.#process = process;
  }

  /** @throws as `CameraProcess.open`. */
  static async open(subject: LoadSubject, options: RigOptions): Promise<LoadRig> {
    const process = options.protocol === 'file' ? null : await CameraProcess.open(options.ffmpeg, options.cameraHost);
    return new LoadRig(subject, options, process);
  }

  get count(): number {
    return this.#specs.length;
  }

  /**
   * Adds or removes cameras with their streams. Added ones have published a frame when it resolves, unless the load leaves nothing for
   * them: then the step shows that.
   *
   * @throws SOURCE_STALLED if no camera of the first ones has a result.
   */
  async setCameras(count: number): Promise<void> {
    const before = this.#specs.length;
    if (count < before) return this.#drop(count);
    const planned = planCameras({ ...this.#options, count });
    const added = planned.slice(before);
    await this.#process?.add(added);
    this.#specs = planned;
    this.#most = Math.max(this.#most, count);
    const streams = added.map((spec, i) => ({
      id: this.#streamId(before + i),
      source: this.#sourceOf(spec),
      index: before + i,
    }));
    await this.#subject.add(streams);
    const ids = streams.map(({ id }) => id);
    const without = await this.#subject.started(ids, this.#options.signal).catch((error: unknown) => {
      // The cameras before have had results, so the load is the reason.
      if (before > 0 && error instanceof SightlineError && error.code === 'SOURCE_STALLED') return ids;
      throw error;
    });
    if (without.length > 0)
      this.#options.note?.(`${count} cameras: ${without.join(', ')} had no result at first; measured all the same`);
  }

  /** Removes the last cameras. The load falls at once: cameras and streams end at the same time. */
  async #drop(count: number): Promise<void> {
    const ids = this.#ids.slice(count);
    const gone = this.#specs.slice(count).map(({ id }) => id);
    this.#specs = this.#specs.slice(0, count);
    await Promise.all([this.#subject.remove(ids), this.#process?.remove(gone)]);
  }

  /** Observes the first n streams. */
  observe(count = this.count): LoadObserver {
    return this.#subject.observe(this.#ids.slice(0, count));
  }

  /** Measures the cameras that are there. @throws the failure of a stream; the signal's reason. */
  async measure({
    name,
    seconds,
    targets,
    settleSeconds,
    mostSeconds = seconds,
    onWindow,
  }: MeasureOptions): Promise<LoadStep> {
    const observer = this.observe();
    try {
      await this.#pause(settleSeconds);
      const span = new LoadSpan((await observer.look()).streams, targets);
      const before = await this.#stats();
      const since = async (): Promise<CameraSpan | null> => {
        const after = await this.#stats();
        return before === null || after === null ? null : { before, after };
      };
      const looks = plannedLooks(seconds, mostSeconds);
      for (let done = 0; done < looks.length; ) {
        await this.#pause(Math.max(0.1, Math.min(WINDOW_S, seconds)));
        const window = await observer.look();
        span.add(window);
        await onWindow?.(window);
        if (span.seconds + WINDOW_S / 2 < looks[done]!) continue;
        done += 1;
        if (done === looks.length) break;
        if (this.#step(name, span, looks.length, observer, await since()).verdict !== 'not enough frames') break;
      }
      const cameras = await since();
      if (cameras !== null) this.#account(cameras, span.seconds);
      return this.#step(name, span, looks.length, observer, cameras);
    } finally {
      observer.close();
    }
  }

  get cost(): CameraCost {
    const { cpuMs, seconds, rssBytes, lateMs, offered, lost, unread } = this.#sums;
    const hasProcess = this.#process !== null;
    return {
      count: this.#most,
      protocol: this.#options.protocol,
      cpuCores: hasProcess && seconds > 0 ? cpuMs / (seconds * 1000) : null,
      rssBytes: hasProcess ? rssBytes : null,
      framesOffered: offered,
      framesLost: lost,
      framesUnread: unread,
      lateMs: hasProcess ? lateMs : null,
    };
  }

  /** Removes the streams, then ends the cameras. */
  async close(): Promise<void> {
    try {
      await this.#subject.close();
    } finally {
      await this.#process?.close();
    }
  }

  get #ids(): string[] {
    return this.#specs.map((_, i) => this.#streamId(i));
  }

  #streamId(index: number): string {
    return this.#options.streamId(index + 1);
  }

  #sourceOf({ id, width, height, fps, pictures }: CameraSpec): string {
    const { protocol } = this.#options;
    if (protocol !== 'file') return this.#process!.url(id, protocol);
    return pictures.kind === 'file' ? pictures.path : `synthetic:testsrc2=size=${width}x${height}:rate=${fps}`;
  }

  #step(name: string, span: LoadSpan, looks: number, observer: LoadObserver, cameras: CameraSpan | null): LoadStep {
    const indexOf = new Map(this.#ids.map((id, i) => [id, i]));
    return loadStep({
      name,
      span,
      looks,
      cameras,
      cores: availableParallelism(),
      constraints: observer.constraints(),
      cameraOf: (streamId) => this.#specs[indexOf.get(streamId)!]!.id,
      ratesOf: (streamId) => {
        const index = indexOf.get(streamId)!;
        const cameraFps = this.#specs[index]!.fps;
        return { cameraFps, takenFps: this.#subject.takenFps(index, cameraFps) };
      },
    });
  }

  async #stats(): Promise<CameraServerStats | null> {
    return (await this.#process?.stats()) ?? null;
  }

  #account({ before, after }: CameraSpan, seconds: number): void {
    const sums = this.#sums;
    sums.cpuMs += after.cpuMs - before.cpuMs;
    sums.seconds += seconds;
    sums.rssBytes = Math.max(sums.rssBytes, after.rssBytes);
    sums.lateMs = Math.max(sums.lateMs, after.lateMs);
    for (const camera of after.cameras) {
      const first = before.cameras.find(({ id }) => id === camera.id);
      for (const key of ['offered', 'lost', 'unread'] as const) sums[key] += camera[key] - (first?.[key] ?? 0);
    }
  }

  async #pause(seconds: number): Promise<void> {
    await sleep(seconds * 1000, undefined, { signal: this.#options.signal });
  }
}
