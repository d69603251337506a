import type { TaskContext, TaskHandler, TaskOutcome } from '../../src/fleet/control/control-plane.ts';
import type { JobOrder, Task } from '../../src/wire/protocol/fleet.ts';

export function jobOrderOf(id: string, inputs: number, more: Partial<JobOrder> = {}): JobOrder {
  return {
    id,
    pipeline: 'bulk',
    inputs: Array.from({ length: inputs }, (_, i) => `/videos/${id}-${i}.mp4`),
    outDir: `/results/${id}`,
    track: false,
    every: 1,
    segmentSeconds: 60,
    priority: 0,
    createdMs: 1_000,
    ...more,
  };
}

/** `split 0`, `segment 0.2`, `merge 0`: a task as tests name it. */
export function taskName(task: Task): string {
  return task.kind === 'segment' ? `segment ${task.file}.${task.span.index}` : `${task.kind} ${task.file}`;
}

/** Returns the outcome of a split into this many segments. */
export function splitInto(task: Task, segments: number): TaskOutcome {
  const { jobId, pipeline, file } = task;
  const children = Array.from(
    { length: segments },
    (_, index): Task => ({
      kind: 'segment',
      jobId,
      pipeline,
      file,
      span: { index, fromUs: index * 1_000_000, toUs: (index + 1) * 1_000_000, firstFrame: index * 10 },
    }),
  );
  return { frames: 0, next: { parent: { kind: 'merge', jobId, pipeline, file, segments }, children } };
}

type Act = (task: Task, context: TaskContext, attempt: number) => Promise<TaskOutcome | undefined>;

/** A handler without media: splits files into `segments` of 10 frames, after running the test's hook. */
export class ScriptedHandler {
  /** `job/segment 0.2` for each start of a task. */
  readonly begun: string[] = [];
  readonly ended: string[] = [];
  readonly orders: JobOrder[] = [];
  readonly #segments: number;
  readonly #act: Act;

  constructor(segments: number, act: Act = async () => undefined) {
    this.#segments = segments;
    this.#act = act;
  }

  readonly handle: TaskHandler = async (task, order, context) => {
    const name = `${task.jobId}/${taskName(task)}`;
    this.begun.push(name);
    this.orders.push(order);
    const attempt = this.begun.filter((other) => other === name).length;
    const outcome = await this.#act(task, context, attempt);
    this.ended.push(name);
    if (outcome !== undefined) return outcome;
    return task.kind === 'split'
      ? splitInto(task, this.#segments)
      : { frames: task.kind === 'segment' ? 10 : 0, next: null };
  };
}

/** Waits until a task is aborted, and rejects, like a well-behaved handler. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new Error('stopped by abort'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
  });
}
