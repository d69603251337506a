import type { PreviewPicture, PublishedFrame } from '../../src/base/core/frame.ts';
import { Listeners } from '../../src/base/flow/listeners.ts';
import type { RuntimePort } from '../../src/wire/protocol/ports/runtime-port.ts';
import type { StreamsReply } from '../../src/wire/protocol/rest.ts';
import type { BenchContext } from './bench-context.ts';
import { benchStreams, openBenchRuntime } from './bench-runtime.ts';

/** What a runtime published of the clip, to be published again without one. */
export interface Recording {
  readonly report: StreamsReply;
  readonly frames: readonly PublishedFrame[];
  readonly jpegs: readonly Uint8Array[];
}

/** Detects and tracks in the whole clip, and keeps its results and preview pictures. */
export async function recordClip(context: BenchContext): Promise<Recording> {
  const runtime = await openBenchRuntime(context, { name: context.model });
  try {
    const [stream] = await benchStreams(context, 1, { policy: 'file', track: true });
    const frames: PublishedFrame[] = [];
    const jpegs: Uint8Array[] = [];
    runtime.published.add((frame) => frames.push(frame));
    runtime.previews.add(({ jpeg }) => jpegs.push(jpeg));
    runtime.watchPreviews(new Set([stream!.config.id]));
    await runtime.add(stream!.config, stream!.input).settled();
    if (frames.length === 0 || jpegs.length === 0) throw new Error('the clip gave no frames or no pictures');
    return { report: runtime.report(), frames, jpegs };
  } finally {
    await runtime.stop();
  }
}

/** A runtime that publishes what the benchmark gives it. */
export class FeedPort implements RuntimePort {
  readonly #report: StreamsReply;
  readonly #published = new Listeners<PublishedFrame>();
  readonly #previews = new Listeners<PreviewPicture>();

  constructor(report: StreamsReply) {
    this.#report = report;
  }

  publish(frame: PublishedFrame): void {
    this.#published.emit(frame);
  }

  preview(picture: PreviewPicture): void {
    this.#previews.emit(picture);
  }

  report(): StreamsReply {
    return this.#report;
  }

  readiness(): { readonly isReady: boolean; readonly reason: string } {
    return { isReady: true, reason: 'a recording' };
  }

  onPublished(listener: (frame: PublishedFrame) => void): () => void {
    return this.#published.add(listener);
  }

  onPreview(listener: (picture: PreviewPicture) => void): () => void {
    return this.#previews.add(listener);
  }

  onReport(): () => void {
    return () => undefined;
  }

  onEvent(): () => void {
    return () => undefined;
  }

  watchPreviews(): void {}

  streamSettings(): never {
    throw new Error('a recording has no settings');
  }

  pipeline(): never {
    throw new Error('a recording has no settings');
  }

  keepingProblem(): string {
    return 'a recording cannot be operated';
  }

  addStream(): Promise<never> {
    return refuse();
  }

  testSource(): Promise<never> {
    return refuse();
  }

  tryRules(): Promise<never> {
    return refuse();
  }

  changeStream(): Promise<never> {
    return refuse();
  }

  pauseStream(): Promise<never> {
    return refuse();
  }

  resumeStream(): Promise<never> {
    return refuse();
  }

  removeStream(): Promise<never> {
    return refuse();
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('a recording cannot be operated'));
}
