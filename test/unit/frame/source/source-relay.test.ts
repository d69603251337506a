import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openSource } from '../../../../src/frame/source/open/open-source.ts';
import type { OpenedSource } from '../../../../src/frame/source/open/opened-source.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

const OPTIONS = { loop: false, realtime: false, rtspTransport: 'udp', readTimeoutMs: 5000 } as const;
const closing: { close(): unknown }[] = [];
afterEach(() => {
  for (const each of closing.splice(0)) each.close();
});

/** One end of a connection, with all that it has received. */
class End {
  readonly #socket: Socket;
  text = '';
  isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.text += text;
    });
    socket
      .on('error', () => undefined)
      .once('close', () => {
        this.isClosed = true;
      });
    closing.push({ close: () => socket.destroy() });
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Resolves once a text has come. */
  received(text: string): Promise<void> {
    return expect.poll(() => this.text).toContain(text);
  }

  closed(): Promise<void> {
    return expect.poll(() => this.isClosed).toBe(true);
  }
}

/** A server that keeps its connections. */
async function camera(): Promise<{ ends: End[]; port: number; server: Server }> {
  const ends: End[] = [];
  const server = createServer((socket) => ends.push(new End(socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(server);
  return { ends, port: (server.address() as AddressInfo).port, server };
}

async function open(url: string, options: object = {}): Promise<OpenedSource> {
  const opened = await openSource(parseSource(url, { ...OPTIONS, rtspTransport: 'tcp', ...options }));
  closing.push(opened);
  return opened;
}

/** Connects as ffmpeg does. */
function dial(url: string): End {
  return new End(connect(Number(/:(\d+)/.exec(url)![1]), '127.0.0.1'));
}

describe('a relay for RTSP', () => {
  it('keeps user and path, and has media sent over TCP', async () => {
    const { source } = await open('rtsp://user:pa%40ss@camera.example:8554/a b?c#d');
    expect(source.url).toMatch(/^rtsp:\/\/user:pa%40ss@127\.0\.0\.1:\d+\/a b\?c#d$/);
    expect(source.options.rtspTransport).toBe('tcp');
    expect(source.tcUrl).toBeUndefined();
  });

  it('asks the camera by its own name, except where that would break a digest', async () => {
    const { ends, port } = await camera();
    const { source } = await open(`rtsp://user:secret@127.0.0.1:${port}/cam`);
    const bare = source.url.replace('user:secret@', '');
    const ffmpeg = dial(bare);
    ffmpeg.send(`DESCRIBE ${bare} RTSP/1.0\r\n\r\n`);
    await expect.poll(() => ends[0]?.text).toBe(`DESCRIBE rtsp://127.0.0.1:${port}/cam RTSP/1.0\r\n\r\n`);
    const signed = `DESCRIBE ${bare} RTSP/1.0\r\nAuthorization: Digest username="user", uri="${bare}"\r\n\r\n`;
    ffmpeg.send(signed);
    await ends[0]!.received(signed);
  });

  it('leads ffmpeg back to itself at a redirect, and then to the new address', async () => {
    const [first, second] = [await camera(), await camera()];
    const opened = await open(`rtsp://127.0.0.1:${first.port}/cam`);
    const ffmpeg = dial(opened.source.url);
    ffmpeg.send('OPTIONS');
    await expect.poll(() => first.ends).toHaveLength(1);
    first.ends[0]!.send(`RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:${second.port}/other\r\n\r\n`);
    await ffmpeg.received('\r\n\r\n');
    const next = /^Location: (.*)\r$/m.exec(ffmpeg.text)![1]!;
    expect(next).toBe(opened.source.url.replace('/cam', '/other'));
    dial(next).send('again');
    await expect.poll(() => second.ends[0]?.text).toBe('again');
    expect(first.ends).toHaveLength(1);
  });

  it.each(['http://127.0.0.1:1/cam', 'file:///etc/passwd', 'rtsp://a:b:c/'])(
    'follows no redirect to %s',
    async (to) => {
      const { ends, port } = await camera();
      const opened = await open(`rtsp://127.0.0.1:${port}/cam`);
      const ffmpeg = dial(opened.source.url);
      await expect.poll(() => ends).toHaveLength(1);
      ends[0]!.send(`RTSP/1.0 302 Moved\r\nLocation: ${to}\r\n\r\n`);
      await ffmpeg.closed();
      expect(ffmpeg.text).not.toContain('Location');
      expect(opened.failure).toMatchObject({
        code: 'SOURCE_FORBIDDEN',
        message: expect.stringMatching(/\/cam: it redirects to .*; expected rtsp:\/\/ or rtsps:\/\/$/),
      });
    },
  );

  it('passes bytes as they are once media flow, and then takes no other connection', async () => {
    const { ends, port } = await camera();
    const opened = await open(`rtsp://127.0.0.1:${port}/cam`);
    const ffmpeg = dial(opened.source.url);
    ffmpeg.send('SETUP');
    await expect.poll(() => ends[0]?.text).toBe('SETUP');
    const other = dial(opened.source.url);
    await expect.poll(() => ends, { message: 'before that it does' }).toHaveLength(2);
    other.close();
    ffmpeg.send(`PLAY ${opened.source.url} RTSP/1.0\r\n\r\n`);
    await ends[0]!.received('PLAY');
    const media = `$\x00\x00\x02ab\r\nLocation: file:///etc/passwd\r\n\r\nincomplete`;
    ends[0]!.send(media);
    await expect.poll(() => ffmpeg.text).toBe(media);
    ffmpeg.send(`GET_PARAMETER ${opened.source.url}`);
    await ends[0]!.received(`GET_PARAMETER ${opened.source.url}`);
    await dial(opened.source.url).closed();
    expect(ends).toHaveLength(2);
  });

  it('ends one end with the other, and both when it is closed', async () => {
    const { ends, port } = await camera();
    const opened = await open(`rtsp://127.0.0.1:${port}/cam`);
    const [first, second, third] = [dial(opened.source.url), dial(opened.source.url), dial(opened.source.url)];
    await expect.poll(() => ends).toHaveLength(3);
    // Which is which: each says its name.
    for (const [i, each] of [first, second, third].entries()) each!.send(String(i));
    await expect.poll(() => ends.map(({ text }) => text).toSorted()).toEqual(['0', '1', '2']);
    const of = (name: string): End => ends.find(({ text }) => text === name)!;
    first!.close();
    await of('0').closed();
    of('1').send('last words\r\n');
    of('1').close();
    await second!.closed();
    expect(second!.text).toBe('last words\r\n');
    expect([third!.isClosed, of('2').isClosed]).toEqual([false, false]);
    opened.close();
    await third!.closed();
    await of('2').closed();
  });

  it('says why a camera cannot be reached, until it can', async () => {
    const { ends, port, server } = await camera();
    server.close();
    const opened = await open(`rtsp://127.0.0.1:${port}/cam`);
    await dial(opened.source.url).closed();
    expect(opened.failure).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: `rtsp://127.0.0.1:${port}/cam: 127.0.0.1:${port}: connection refused`,
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    dial(opened.source.url).send('here');
    await expect.poll(() => ends[0]?.text).toBe('here');
    expect(opened.failure).toBeNull();
  });

  it('connects eight times, since cameras can lead each other in circles', async () => {
    const { ends, port } = await camera();
    const opened = await open(`rtsp://127.0.0.1:${port}/cam`);
    for (let count = 1; count <= 8; count++) {
      dial(opened.source.url);
      await expect.poll(() => ends).toHaveLength(count);
    }
    expect(opened.failure).toBeNull();
    await dial(opened.source.url).closed();
    expect(opened.failure).toMatchObject({ message: expect.stringContaining('it redirects again and again') });
    expect(ends).toHaveLength(8);
  });

  it('is not needed for UDP, which limited networks do not allow', async () => {
    const url = 'rtsp://127.0.0.1:8554/cam';
    expect((await open(url, { rtspTransport: 'udp' })).source.url).toBe(url);
    const access = { roots: null, networks: ['127.0.0.0/8'], isTlsInsecure: false, authorities: null };
    await expect(open(url, { rtspTransport: 'udp', access })).rejects.toMatchObject({
      code: 'SOURCE_FORBIDDEN',
      message: expect.stringContaining('use transport tcp'),
    });
    expect((await open(url, { access })).source.url).not.toBe(url);
  });
});

describe('a relay for RTMP', () => {
  it.each([
    ['rtmp://u:p@live.example/app/key', 'rtmp://live.example/app'],
    ['rtmp://live.example:1936/app/instance/key', 'rtmp://live.example:1936/app/instance'],
    ['rtmps://live.example/app/instance/key/more?a=/b', 'rtmps://live.example/app/instance'],
    ['rtmp://live.example/app', 'rtmp://live.example/app'],
  ])('asks for the application of %s by its own name, without the key', async (url, tcUrl) => {
    expect((await open(url)).source.tcUrl).toBe(tcUrl);
  });

  it('passes bytes as they are, whatever they look like', async () => {
    const { ends, port } = await camera();
    const opened = await open(`rtmp://127.0.0.1:${port}/app/key`);
    const ffmpeg = dial(opened.source.url);
    ffmpeg.send(opened.source.url);
    await expect.poll(() => ends[0]?.text).toBe(opened.source.url);
    ends[0]!.send('Location: file:///etc/passwd');
    await expect.poll(() => ffmpeg.text).toBe('Location: file:///etc/passwd');
  });

  it('gives up a server that sends nothing: ffmpeg itself would wait without end', async () => {
    const { ends, port } = await camera();
    const opened = await open(`rtmp://127.0.0.1:${port}/app/key`, { readTimeoutMs: 50 });
    const ffmpeg = dial(opened.source.url);
    await ffmpeg.closed();
    await ends[0]!.closed();
  });
});
