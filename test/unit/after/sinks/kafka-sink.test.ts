import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { openSinks } from '../../../../src/after/sinks/open-sinks.ts';
import { sinkConfig } from '../../../../src/after/sinks/sink-kinds.ts';
import { TextSink } from '../../../support/text-sink.ts';
import { eventOf } from './events.ts';

/** Delivery to a real broker is in test/conformance/event-sinks.test.ts. */
describe('a Kafka sink', () => {
  it('that reaches no broker, or one that ends each connection, reports it, accounts for each event and closes', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const reports = async (port: number): Promise<void> => {
      const failures: string[] = [];
      const url = `kafka://user:hush-hush-4711@127.0.0.1:${port}`;
      const sinks = await openSinks([sinkConfig.parse({ type: 'kafka', url, spoolMaxMb: 0 })], {
        classes: ['person'],
        stdout: new TextSink(),
        onRecovery: () => undefined,
        onNotice: () => undefined,
        onFailure: ({ message, details }) => failures.push(JSON.stringify([message, details])),
      });
      for (let number = 0; number < 20; number += 1) sinks.publishEvent(eventOf(number), false);
      await expect.poll(() => sinks.reports[0]!.problem).not.toBeNull();
      const { sent, waiting, lost } = sinks.reports[0]!;
      expect([sent, waiting, Object.values(lost).reduce((sum, each) => sum + each, 0)]).toEqual([0, 20, 0]);
      const closed = await sinks.close();
      expect(closed.map(({ code }) => code)).toEqual(['SINK_FAILED']);
      expect(sinks.reports[0]!.lost.failed).toBe(20);
      expect([...failures, ...closed.map(({ message }) => message)].join()).not.toContain('hush-hush');
    };
    await Promise.all([9, (server.address() as AddressInfo).port].map(reports));
    server.close();
  });
});
