import type { Topic } from '../protocol/feed.ts';

/** The topics and streams that one client wants. A new `subscribe` of a topic replaces the earlier one. */
export class Subscription {
  readonly #wanted = new Map<Topic, 'all' | ReadonlySet<string>>();

  add(topics: readonly Topic[], streams: readonly string[] | undefined): void {
    const wanted = streams === undefined ? 'all' : new Set(streams);
    for (const topic of topics) this.#wanted.set(topic, wanted);
  }

  remove(topics: readonly Topic[]): void {
    for (const topic of topics) this.#wanted.delete(topic);
  }

  /** `stream` is undefined for messages about the host: every subscriber of the topic gets them. */
  wants(topic: Topic, stream: string | undefined): boolean {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) return false;
    return stream === undefined || wanted === 'all' || wanted.has(stream);
  }

  streamsOf(topic: Topic): 'all' | ReadonlySet<string> | null {
    return this.#wanted.get(topic) ?? null;
  }
}
