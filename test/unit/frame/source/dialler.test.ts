import { lookup } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { rootCertificates } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { FREE_ACCESS } from '../../../../src/base/core/source.ts';
import { Dialler } from '../../../../src/frame/source/open/dialler.ts';

vi.mock('node:dns', { spy: true });

type Answer = (error: null, addresses: { address: string; family: number }[]) => void;

/** Makes the name server answer with the next list each time it is asked; the last one stays. */
function answering(...lists: readonly (readonly string[])[]): void {
  let asked = 0;
  vi.mocked(lookup).mockClear();
  vi.mocked(lookup).mockImplementation(((_host: string, _options: object, done: Answer) => {
    const addresses = lists[Math.min(asked++, lists.length - 1)]!;
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  }) as never);
}

describe('Dialler', () => {
  const servers: Server[] = [];
  let port: number;
  const callers: string[] = [];

  beforeAll(async () => {
    // The same port on two addresses: only the address decides where a connection ends.
    for (const address of ['127.0.0.1', '127.0.0.2']) {
      const server = createServer((socket) => {
        callers.push(address);
        socket.on('error', () => undefined).resume();
      });
      server.listen(port ?? 0, address);
      await once(server, 'listening');
      port = (server.address() as AddressInfo).port;
      servers.push(server);
    }
  });
  beforeEach(() => {
    callers.length = 0;
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  const dial = (host: string, networks: readonly string[] | null): Promise<unknown> =>
    new Dialler({ ...FREE_ACCESS, networks })
      .connect({ host, port, isTls: false }, 2000)
      .then((socket) => socket.destroy());

  it('connects to the address that it checked, and asks for it once', async () => {
    answering(['127.0.0.1'], ['127.0.0.2']);
    await dial('camera.example', ['127.0.0.1/32']);
    await expect.poll(() => callers).toEqual(['127.0.0.1']);
    expect(vi.mocked(lookup)).toHaveBeenCalledTimes(1);
  });

  it('refuses a name that leads elsewhere when it is asked again', async () => {
    answering(['127.0.0.1'], ['127.0.0.2']);
    await dial('camera.example', ['127.0.0.1/32']);
    await expect(dial('camera.example', ['127.0.0.1/32'])).rejects.toThrow(/camera\.example, which is 127\.0\.0\.2/);
    expect(callers).not.toContain('127.0.0.2');
  });

  it('refuses a name with one address outside of the networks', async () => {
    answering(['127.0.0.1', '127.0.0.2']);
    await expect(dial('camera.example', ['127.0.0.1/32'])).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    expect(callers).toEqual([]);
  });

  it.each(['127.0.0.2', '::ffff:127.0.0.2'])('refuses the address %s itself', async (host) => {
    await expect(dial(host, ['127.0.0.1/32'])).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    expect(callers).toEqual([]);
  });

  it('refuses other ways to write an address', async () => {
    vi.mocked(lookup).mockRestore();
    for (const host of ['127.2', '0x7f000002', '2130706434'])
      await expect(dial(host, ['127.0.0.1/32'])).rejects.toMatchObject({
        code: expect.stringMatching(/^SOURCE_(FORBIDDEN|UNREACHABLE)$/) as string,
      });
    expect(callers).toEqual([]);
  });

  it('says if a name has no address', async () => {
    vi.mocked(lookup).mockImplementation(((_host: string, _options: object, done: (error: Error) => void) =>
      done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))) as never);
    await expect(dial('camera.example', null)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: `camera.example:${port}: the host name has no address`,
    });
  });

  it('resolves a name to one address', async () => {
    answering(['127.0.0.2', '127.0.0.1']);
    expect(await new Dialler(FREE_ACCESS).resolve('camera.example')).toBe('127.0.0.2');
  });

  it('trusts the authorities of its source, and reads the same ones once', () => {
    const trusted = (authorities: string | null) =>
      new Dialler({ ...FREE_ACCESS, authorities }).tlsOptions.secureContext;
    const [first, other] = rootCertificates;
    expect(trusted(null)).toBeUndefined();
    const context = trusted(first!);
    expect(context).toBeDefined();
    expect(trusted(first!)).toBe(context);
    expect(trusted(other!)).not.toBe(context);
  });

  it('connects anywhere without networks, or with all of them', async () => {
    answering(['127.0.0.2']);
    await dial('camera.example', null);
    await dial('camera.example', ['0.0.0.0/0', '::/0']);
    await expect.poll(() => callers).toEqual(['127.0.0.2', '127.0.0.2']);
  });
});
