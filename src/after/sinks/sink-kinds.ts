import { z } from 'zod';
import { coco } from './coco-sink.ts';
import { jsonl } from './jsonl-sink.ts';
import { kafka } from './kafka-sink.ts';
import { mail } from './mail-sink.ts';
import { mqtt } from './mqtt-sink.ts';
import { nats } from './nats-sink.ts';
import { parquet } from './parquet-sink.ts';
import { redisStreams } from './redis-streams-sink.ts';
import type { SinkKind } from './sink-kind.ts';
import { video } from './video-sink.ts';
import { webhook } from './webhook-sink.ts';

/** Every kind of sink that a pipeline file can name. */
const SINK_KINDS = [jsonl, coco, video, parquet, webhook, mqtt, redisStreams, nats, kafka, mail] as const;

type Settings<Kinds extends readonly unknown[]> = {
  -readonly [I in keyof Kinds]: Kinds[I] extends SinkKind<infer S> ? S : never;
};

export const sinkConfig = z.discriminatedUnion(
  'type',
  SINK_KINDS.map(({ settings }) => settings) as unknown as Settings<typeof SINK_KINDS>,
);
export type SinkConfig = z.infer<typeof sinkConfig>;

const byType = new Map(SINK_KINDS.map((kind) => [kind.settings.shape.type.value as string, kind as SinkKind]));

/** Returns the kind of a sink. */
export function kindOf({ type }: SinkConfig): SinkKind {
  return byType.get(type)!;
}

/** Returns a sink's name for messages: `jsonl-1`. */
export function sinkId({ type }: SinkConfig, index: number): string {
  return `${type}-${index + 1}`;
}

/** Whether an alert can name a sink as its channel. */
export function tellsAlerts(sink: SinkConfig): boolean {
  return kindOf(sink).tellsAlerts?.(sink) === true;
}
