import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SourceAccess } from '../../../../src/base/core/source.ts';
import { FREE_ACCESS } from '../../../../src/base/core/source.ts';
import { isReachable } from '../../../../src/frame/source/open/open-source.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

function probe(host: string, port: number, timeoutMs: number, access: SourceAccess = FREE_ACCESS): Promise<boolean> {
  const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000, access } as const;
  return isReachable(parseSource(`rtsp://${host}:${port}/cam`, options), timeoutMs);
}

describe('isReachable', () => {
  let server: Server;
  let port: number;

  beforeAll(async () => {
    server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  });

  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('returns true for an open port, and leaves no connection behind', async () => {
    expect(await probe('127.0.0.1', port, 1000)).toBe(true);
    await expect.poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  });

  it('returns false at once for a closed port', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const closed = (other.address() as { port: number }).port;
    await new Promise((resolve) => other.close(resolve));
    const before = performance.now();
    expect(await probe('127.0.0.1', closed, 5000)).toBe(false);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it('does not connect to an address outside of the networks', async () => {
    const access = { ...FREE_ACCESS, networks: ['10.0.0.0/8'] };
    await expect(probe('127.0.0.1', port, 1000, access)).rejects.toThrow(/127\.0\.0\.1; allowed are .*10\.0\.0\.0\/8/);
    await expect(probe('localhost', port, 1000, access)).rejects.toThrow(/localhost, which is /);
  });

  it('returns false for an unknown host name', async () => {
    expect(await probe('no-such-host.invalid', 554, 2000)).toBe(false);
  });
});
