import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpProbe } from '../../../src/source/tcp-probe.ts';

describe('tcpProbe', () => {
  let server: Server;
  let port: number;

  beforeAll(async () => {
    server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  });

  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('returns true for an open port, and leaves no connection behind', async () => {
    expect(await tcpProbe({ host: '127.0.0.1', port }, 1000)).toBe(true);
    await expect.poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  });

  it('returns false at once for a closed port', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const closed = (other.address() as { port: number }).port;
    await new Promise((resolve) => other.close(resolve));
    const before = performance.now();
    expect(await tcpProbe({ host: '127.0.0.1', port: closed }, 5000)).toBe(false);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it('returns false for an unknown host name', async () => {
    expect(await tcpProbe({ host: 'no-such-host.invalid', port: 554 }, 2000)).toBe(false);
  });
});
