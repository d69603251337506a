import { kafkaReceiver } from './kafka-sink.ts';
import { mailReceiver } from './mail-sink.ts';
import { mqttReceiver } from './mqtt-sink.ts';
import { natsReceiver } from './nats-sink.ts';
import type { ReceiverKind, ReceiverPlan } from './receiver-kind.ts';
import { redisReceiver } from './redis-streams-sink.ts';
import { webhookReceiver } from './webhook-sink.ts';

const KINDS = [webhookReceiver, mqttReceiver, redisReceiver, natsReceiver, kafkaReceiver, mailReceiver] as const;
const byName = new Map(KINDS.map((kind) => [kind.name, kind as unknown as ReceiverKind<ReceiverPlan>]));

/** Returns the kind of a plan that came from another thread. */
export function receiverKind(name: string): ReceiverKind<ReceiverPlan> {
  return byName.get(name)!;
}
