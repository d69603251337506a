import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats, type NatsConnection } from '@nats-io/transport-node';
import { Admin, Consumer, stringDeserializers } from '@platformatic/kafka';
import { connectAsync, type MqttClient } from 'mqtt';
import type { CloudEvent } from '../../src/wire/protocol/rule-event.ts';
import { BrokerProcess, KAFKA, MOSQUITTO, NATS, signInPort } from './broker-process.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import { waitFor } from './wait-for.ts';

/** A broker, and a reader of what arrives at it. */
export interface EventRig {
  /** Of a sink that sends to it. */
  readonly settings: object;
  /** Settings with which it refuses every event. */
  readonly refused: object;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** It keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /** From now on it says that it is full; null if it never does. */
  readonly fill: (() => Promise<void>) | null;
  readonly empty: (() => Promise<void>) | null;
  /** In the order of their arrival, doubles included. */
  received(): Promise<CloudEvent[]>;
  close(): Promise<void>;
}

interface RigKind {
  readonly missing: string | null;
  open(): Promise<EventRig>;
}

export const webhookRig: RigKind = {
  missing: null,
  async open() {
    const events: CloudEvent[] = [];
    const state = { isPaused: false, status: 204 };
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on('end', () => {
        if (state.isPaused) return;
        const status = request.url === '/refused' ? 400 : state.status;
        if (status === 204) events.push(...(JSON.parse(text) as CloudEvent[]));
        response.writeHead(status).end();
      });
    });
    const listen = (port: number): Promise<void> =>
      new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
    await listen(0);
    const { port } = server.address() as AddressInfo;
    const stop = async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    const url = `http://127.0.0.1:${port}`;
    return {
      settings: { url },
      refused: { url: `${url.replace('//', '//user:hush-hush@')}/refused` },
      start: () => listen(port),
      stop,
      pause: () => {
        state.isPaused = true;
      },
      resume: () => {
        state.isPaused = false;
      },
      fill: async () => {
        state.status = 507;
      },
      empty: async () => {
        state.status = 204;
      },
      received: async () => events,
      close: stop,
    };
  },
};

export const mosquittoRig: RigKind = {
  missing: BrokerProcess.missing(MOSQUITTO),
  async open() {
    const broker = await BrokerProcess.open(MOSQUITTO);
    const events: CloudEvent[] = [];
    // Its session survives, so that nothing is missed while it is away.
    const reader: MqttClient = await connectAsync({
      host: '127.0.0.1',
      port: broker.port,
      protocol: 'mqtt',
      protocolVersion: 5,
      clientId: 'reader',
      clean: false,
      properties: { sessionExpiryInterval: 600 },
      reconnectPeriod: 200,
    });
    reader.on('error', () => undefined);
    reader.on('message', (_, payload) => events.push(JSON.parse(payload.toString()) as CloudEvent));
    await reader.subscribeAsync('sightline/events/#', { qos: 1 });
    const url = `mqtt://127.0.0.1:${broker.port}`;
    return {
      settings: { url },
      refused: { url, user: 'guest', password: 'hush-hush', clientId: 'guest', discovery: false },
      start: async () => {
        await broker.start();
        // Before the sink: mosquitto 2.0 may hold back what it has queued for a reader that is away until the next message comes.
        await waitFor('the reader', () => reader.connected);
      },
      stop: () => broker.kill(),
      pause: () => broker.pause(),
      resume: () => broker.resume(),
      fill: null,
      empty: null,
      received: async () => events,
      close: async () => {
        await reader.endAsync(true);
        await broker.close();
      },
    };
  },
};

export const redisRig: RigKind = {
  missing: redisMissing,
  async open() {
    const server = await RedisServer.open({ isDurable: true });
    await server.admin.set('text', 'no stream');
    const limit = (bytes: number) => async (): Promise<void> => {
      await server.admin.config('SET', 'maxmemory', bytes);
    };
    return {
      settings: { url: server.url },
      refused: { url: server.url.replace('//', '//default:hush-hush@'), password: undefined, key: 'text' },
      start: () => server.start(),
      stop: () => server.kill(),
      pause: () => server.pause(),
      resume: () => server.resume(),
      fill: limit(1),
      empty: limit(0),
      received: async () => {
        const entries = await server.admin.xrange('sightline', '-', '+');
        return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('json') + 1]!) as CloudEvent);
      },
      close: () => server.close(),
    };
  },
};

export const natsRig: RigKind = {
  missing: BrokerProcess.missing(NATS),
  async open() {
    const broker = await BrokerProcess.open(NATS);
    const connection: NatsConnection = await connectNats({
      servers: `127.0.0.1:${broker.port}`,
      reconnectTimeWait: 200,
      maxReconnectAttempts: -1,
    });
    const manager = await jetstreamManager(connection);
    const subjects = ['sightline.>'];
    await manager.streams.add({ name: 'events', subjects });
    await manager.streams.add({ name: 'small', subjects: ['small.>'], max_msg_size: 64 });
    const url = `nats://127.0.0.1:${broker.port}`;
    return {
      settings: { url },
      refused: { url, subject: 'small', user: 'someone', password: 'hush-hush' },
      start: () => broker.start(),
      stop: () => broker.kill(),
      pause: () => broker.pause(),
      resume: () => broker.resume(),
      fill: async () => {
        await manager.streams.update('events', { subjects, max_msgs: 1, discard: 'new' });
        await jetstream(connection).publish('sightline.other', 'fills it');
      },
      empty: async () => {
        await manager.streams.purge('events');
        await manager.streams.update('events', { subjects, max_msgs: -1, discard: 'new' });
      },
      received: async () => {
        const { messages } = (await manager.streams.info('events')).state;
        if (messages === 0) return [];
        const consumer = await jetstream(connection).consumers.get('events', { filter_subjects: 'sightline.events.>' });
        const events: CloudEvent[] = [];
        for await (const message of await consumer.fetch({ max_messages: messages, expires: 1000 }))
          events.push(message.json<CloudEvent>());
        return events;
      },
      close: async () => {
        await connection.close();
        await broker.close();
      },
    };
  },
};

/** It takes seconds to start, so that the tests share one, each with topics of its own. */
let sharedKafka: Promise<BrokerProcess> | null = null;
let kafkaRigs = 0;

export const kafkaRig: RigKind = {
  missing: BrokerProcess.missing(KAFKA),
  async open() {
    sharedKafka ??= BrokerProcess.open(KAFKA).then((opened) => {
      process.once('exit', () => rmSync(opened.folder, { recursive: true, force: true }));
      return opened;
    });
    const broker = await sharedKafka;
    kafkaRigs += 1;
    const [topic, small] = [`events-${kafkaRigs}`, `small-${kafkaRigs}`];
    const client = { clientId: 'test', bootstrapBrokers: [{ host: '127.0.0.1', port: broker.port }] };
    const admin = new Admin(client);
    await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 });
    const configs = [{ name: 'max.message.bytes', value: '100' }];
    await admin.createTopics({ topics: [small], partitions: 1, replicas: 1, configs });
    await admin.close();
    let isRunning = true;
    const start = async (): Promise<void> => {
      await broker.start();
      isRunning = true;
    };
    return {
      settings: { url: `kafka://127.0.0.1:${broker.port}`, topic },
      refused: { url: `kafka://someone:hush-hush@127.0.0.1:${signInPort(broker)}`, mechanism: 'PLAIN', topic: small },
      start,
      stop: async () => {
        await broker.kill();
        isRunning = false;
      },
      pause: () => broker.pause(),
      resume: () => broker.resume(),
      fill: null,
      empty: null,
      received: async () => {
        const consumer = new Consumer({
          ...client,
          groupId: `reader-${randomUUID()}`,
          deserializers: stringDeserializers,
          autocommit: false,
          maxWaitTime: 200,
        });
        try {
          const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic)!;
          const count = Number(ends.reduce((sum, end) => sum + end, 0n));
          const events: CloudEvent[] = [];
          if (count === 0) return events;
          for await (const { value } of await consumer.consume({ topics: [topic], mode: 'earliest' }))
            if (events.push(JSON.parse(value) as CloudEvent) === count) break;
          return events;
        } finally {
          await consumer.close(true);
        }
      },
      close: async () => {
        if (!isRunning) await start();
      },
    };
  },
};
