import type { StreamReport } from '../../wire/protocol/report.ts';
import { type DiscoveredStream, discoveryOf, identifierOf } from './home-assistant.ts';
import type { WrittenFrame } from './sink.ts';
import { topicLevel } from './topic-level.ts';

/** More labels than this are not counted: a model with thousands would make thousands of sensors. */
const MOST_LABELS = 100;
/** Everything is published again after this time, in case another host has removed what this one needs. */
const REFRESH_MS = 60_000;

/** What a stream's retained message says. */
interface StreamState {
  /** Whether frames come. */
  readonly up: boolean;
  readonly state: StreamReport['state'];
  readonly targetMissed: boolean;
  /** Objects in the newest result, by label. */
  readonly labels: Readonly<Record<string, number>>;
  /** Objects in each zone. */
  readonly zones: Readonly<Record<string, number>>;
}

export interface RetainedMessage {
  readonly topic: string;
  /** Empty: the message is removed. */
  readonly payload: string;
}

export interface RetainedStateOptions {
  /** Above all topics. */
  readonly topic: string;
  readonly statusTopic: string;
  /** Prefix of Home Assistant's discovery; false without. */
  readonly discovery: string | false;
  /** Labels that are counted from the start; others are from the first object on. */
  readonly labels: readonly string[];
}

/** What is known of a stream. */
interface KnownStream {
  readonly labels: Set<string>;
  readonly components: Map<string, string>;
  frame: WrittenFrame | null;
}

/** Knows which retained messages a broker should have, and which of them it lacks. */
export class RetainedState {
  readonly #options: RetainedStateOptions;
  readonly #streams = new Map<string, KnownStream>();
  readonly #wanted = new Map<string, string>();
  /** What the broker has; null if that is not known. */
  readonly #published = new Map<string, string | null>();
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(options: RetainedStateOptions) {
    this.#options = options;
  }

  /** Takes note of a result: one assignment, since it is called for each frame. */
  noteResult(frame: WrittenFrame): void {
    const known = this.#streams.get(frame.streamId);
    if (known !== undefined) known.frame = frame;
  }

  /** Takes note of all streams that there are. @param nowMs - monotonic. */
  noteReports(reports: readonly StreamReport[], nowMs: number): void {
    const ids = new Set(reports.map(({ id }) => id));
    for (const id of this.#streams.keys()) if (!ids.has(id)) this.#streams.delete(id);
    this.#wanted.clear();
    for (const report of reports) this.#noteReport(report);
    if (nowMs - this.#refreshedMs < REFRESH_MS) return;
    this.#refreshedMs = nowMs;
    this.forget();
  }

  #noteReport(report: StreamReport): void {
    const { topic, discovery, statusTopic, labels } = this.#options;
    const { id } = report;
    const known = this.#streams.get(id) ?? { labels: new Set(labels), components: new Map(), frame: null };
    this.#streams.set(id, known);
    const state = stateOf(report, known);
    const stateTopic = `${topic}/streams/${topicLevel(id)}/state`;
    this.#wanted.set(stateTopic, JSON.stringify(state));
    if (discovery === false) return;
    const device = `${identifierOf(topic)}__${identifierOf(id)}`;
    const zones = report.zones.map((zone) => zone.id);
    const stream: DiscoveredStream = { id, labels: [...known.labels], zones, stateTopic, statusTopic };
    const payload = JSON.stringify(discoveryOf(device, stream, known.components));
    this.#wanted.set(`${discovery}/device/${device}/config`, payload);
  }

  /** The broker may have lost everything, or another one answers. */
  forget(): void {
    for (const topic of this.#published.keys()) this.#published.set(topic, null);
  }

  /** Returns the messages that the broker lacks. */
  get missing(): readonly RetainedMessage[] {
    const changed = [...this.#wanted].filter(([topic, payload]) => this.#published.get(topic) !== payload);
    const gone = [...this.#published.keys()].filter((topic) => !this.#wanted.has(topic));
    return [
      ...gone.map((topic) => ({ topic, payload: '' })),
      ...changed.map(([topic, payload]) => ({ topic, payload })),
    ];
  }

  /** The broker has a message now. */
  published({ topic, payload }: RetainedMessage): void {
    if (payload === '') this.#published.delete(topic);
    else this.#published.set(topic, payload);
  }
}

function stateOf(report: StreamReport, known: KnownStream): StreamState {
  const { state, isMissing } = report;
  const up = state === 'running';
  const counts = new Map<string, number>();
  for (const { label } of known.frame?.detections ?? []) counts.set(label, (counts.get(label) ?? 0) + 1);
  for (const label of counts.keys()) if (known.labels.size < MOST_LABELS) known.labels.add(label);
  const labels = [...known.labels].map((label) => [label, up ? (counts.get(label) ?? 0) : 0]);
  const zones = report.zones.map(({ id, inside }) => [id, up ? inside : 0]);
  return {
    up,
    state,
    targetMissed: isMissing.fps || isMissing.latency,
    labels: Object.fromEntries(labels),
    zones: Object.fromEntries(zones),
  };
}
