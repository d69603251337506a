import type { Topic } from '../protocol/feed.ts';

/** Which topics of which streams one client wants. The newest `subscribe` of a topic replaces the earlier one. */
export class Subscription {
  readonly #wanted = new Map<Topic, 'all' | ReadonlySet<string>>();

  add(topics: readonly Topic[], streams: readonly string[] | undefined): void {
    const wanted = streams === undefined ? 'all' : new Set(streams);
    for (const topic of topics) this.#wanted.set(topic, wanted);
  }

  remove(topics: readonly Topic[]): void {
    for (const topic of topics) this.#wanted.delete(topic);
  }

  /** `stream` undefined asks for what belongs to the host: whoever has the topic gets it. */
  wants(topic: Topic, stream: string | undefined): boolean {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) return false;
    return stream === undefined || wanted === 'all' || wanted.has(stream);
  }

  streamsOf(topic: Topic): 'all' | ReadonlySet<string> | null {
    return this.#wanted.get(topic) ?? null;
  }
}
