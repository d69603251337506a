import { request } from 'node:http';
import sharp from 'sharp';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';
import { bearer, TokensFolder, tokenRecord } from '../../../support/tokens-folder.ts';
import { waitFor } from '../../../support/wait-for.ts';

const GREY = await sharp({ create: { width: 320, height: 180, channels: 3, background: '#808080' } })
  .jpeg()
  .toBuffer();
const PERSON = { classId: 0, label: 'person', score: 0.9, box: [64, 36, 32, 72] } as const;
const frame = publishedFrame('gate', 7, [PERSON], { width: 640, height: 360 });

async function open(options: object = {}): Promise<{ port: RuntimeDouble; url: string; close: () => Promise<void> }> {
  const port = new RuntimeDouble(['gate', 'yard']);
  const { url, close } = await openGateway(port, options);
  return { port, url, close };
}

async function isDrawn(jpeg: Uint8Array): Promise<boolean> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([320, 180]);
  // The left edge of the box.
  const at = (40 * info.width + 32) * 3;
  return Math.max(...[0, 1, 2].map((i) => Math.abs(data[at + i]! - 128))) > 40;
}

interface Reader {
  readonly contentType: string | undefined;
  readonly parts: () => string[];
  readonly bytes: () => Buffer;
  readonly isOver: () => boolean;
  end(): void;
}

function read(url: string, headers: Record<string, string> = {}): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers }, (reply) => {
      const chunks: Buffer[] = [];
      let isOver = false;
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('close', () => {
        isOver = true;
      });
      reply.on('error', () => undefined);
      const bytes = (): Buffer => Buffer.concat(chunks);
      resolve({
        contentType: reply.headers['content-type'],
        bytes,
        isOver: () => isOver,
        parts: () => bytes().toString('latin1').split('--picture\r\n').slice(1),
        end: () => asked.destroy(),
      });
    });
    asked.on('error', reject);
    asked.end();
    onTestFinished(() => void asked.destroy());
  });
}

describe('snapshot.jpg', () => {
  it('is the next picture, with boxes or without; pictures are made while it is waited for only', async () => {
    const { port, url } = await open();
    const take = async (query: string): Promise<Response> => {
      const asked = fetch(`${url}/api/streams/gate/snapshot.jpg${query}`);
      await waitFor('a watcher', () => port.watched.has('gate'));
      port.preview(publishedFrame('yard', 1), GREY);
      port.preview(frame, GREY);
      return asked;
    };
    const plain = await take('?boxes=0');
    expect(Object.fromEntries(plain.headers)).toMatchObject({
      'content-type': 'image/jpeg',
      'cache-control': 'no-store',
      'x-pts-us': '280000',
    });
    expect(Buffer.from(await plain.arrayBuffer())).toEqual(GREY);
    expect(port.watched).toEqual(new Set());
    expect(await isDrawn(Buffer.from(await (await take('')).arrayBuffer()))).toBe(true);
  });

  it('waits for the boxes of its frame, and takes one without if there is no other', async () => {
    const { port, url } = await open();
    const asked = fetch(`${url}/api/streams/gate/snapshot.jpg`);
    await waitFor('a watcher', () => port.watched.has('gate'));
    port.preview(publishedFrame('gate', 6, [], { width: 640, height: 360 }), GREY, { hasResult: false });
    port.preview(frame, GREY, { pictureUs: 320_000 as never });
    const reply = await asked;
    expect(reply.headers.get('x-pts-us')).toBe('320000');
    expect(await isDrawn(Buffer.from(await reply.arrayBuffer()))).toBe(true);
  });

  it.each([
    ['nobody/snapshot.jpg', 404, /Stream \\"nobody\\": not found/],
    ['nobody/mjpeg', 404, /STREAM_NOT_FOUND/],
    ['gate/snapshot.jpg?boxes=maybe', 400, /boxes.*expected/],
    ['gate/mjpeg?size=4', 400, /size/],
  ])('%s is refused with %i', async (path, status, message) => {
    const { url } = await open();
    const reply = await fetch(`${url}/api/streams/${path}`);
    expect([reply.status, await reply.text()]).toEqual([status, expect.stringMatching(message)]);
  });

  it('says what is wrong if no picture comes', async () => {
    const { url, port } = await open();
    const reply = await fetch(`${url}/api/streams/gate/snapshot.jpg`);
    expect(reply.status).toBe(409);
    expect(await reply.text()).toMatch(/no picture came within 5 s; its state is running/);
    expect(port.watched).toEqual(new Set());
  });
});

describe('mjpeg', () => {
  it('has each picture as a part, until the reader goes', async () => {
    const { port, url } = await open();
    const [a, b] = await Promise.all([
      read(`${url}/api/streams/gate/mjpeg?boxes=0`),
      read(`${url}/api/streams/gate/mjpeg`),
    ]);
    expect(a.contentType).toBe('multipart/x-mixed-replace; boundary=picture');
    for (let shown = 1; shown <= 3; shown++) {
      port.preview(frame, GREY);
      await waitFor('the part', () => a.parts().length >= shown && b.parts().length >= shown);
    }
    const [head, body] = a.parts()[0]!.split('\r\n\r\n');
    expect(head).toBe(`Content-Type: image/jpeg\r\nContent-Length: ${GREY.length}\r\nX-Pts-Us: 280000`);
    expect(Buffer.from(body!.slice(0, GREY.length), 'latin1')).toEqual(GREY);
    const drawn = b.parts()[0]!.split('\r\n\r\n')[1]!;
    expect(await isDrawn(Buffer.from(drawn, 'latin1'))).toBe(true);
    a.end();
    b.end();
    await waitFor('nobody watches', () => port.watched.size === 0);
  });

  it('ends with its stream, and with the gateway', async () => {
    const { port, url, close } = await open();
    const [gate, yard] = await Promise.all([
      read(`${url}/api/streams/gate/mjpeg`),
      read(`${url}/api/streams/yard/mjpeg`),
    ]);
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'stream-removed', stream: 'gate', message: 'gate was removed' });
    await waitFor('the end', () => gate.isOver());
    expect(yard.isOver()).toBe(false);
    expect(port.watched).toEqual(new Set(['yard']));
    await close();
    await waitFor('the other end', () => yard.isOver());
  });

  it('leaves out pictures for a reader that is slow, and holds none of them', async () => {
    const { port, url } = await open();
    const noise = Buffer.alloc(400_000, 1);
    const slow = request(`${url}/api/streams/gate/mjpeg?boxes=0`, (reply) => reply.pause());
    onTestFinished(() => void slow.destroy());
    slow.end();
    await waitFor('a watcher', () => port.watched.has('gate'));
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 300; i++) {
      port.preview(frame, noise);
      await new Promise(setImmediate);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000);
  });

  it('is read by a bounded number', async () => {
    const { url } = await open({ maxConnectionsPerAddress: 200 });
    const readers = await Promise.all(Array.from({ length: 64 }, () => read(`${url}/api/streams/gate/mjpeg`)));
    const one = await fetch(`${url}/api/streams/gate/mjpeg`);
    expect([one.status, await one.text()]).toEqual([
      429,
      expect.stringMatching(/all 64 places for programs that read pictures are taken, 64 by you; end one/),
    ]);
    readers[0]!.end();
    await waitFor('room', async () => {
      const next = await read(`${url}/api/streams/gate/mjpeg`);
      next.end();
      return next.contentType?.startsWith('multipart') === true;
    });
  });

  it('is drawn once for all who read it', async () => {
    const { port, url } = await open();
    const readers = await Promise.all(Array.from({ length: 20 }, () => read(`${url}/api/streams/gate/mjpeg`)));
    const settings = vi.spyOn(port, 'streamSettings');
    for (let shown = 1; shown <= 3; shown++) {
      port.preview(frame, GREY);
      await waitFor('the part', () => readers.every((reader) => reader.parts().length >= shown));
    }
    expect(settings).toHaveBeenCalledTimes(3);
    expect(new Set(readers.map((reader) => reader.parts().join('')))).toHaveLength(1);
  });

  it('that one token reads with all places gives one to another token', async () => {
    const tokens = new TokensFolder();
    onTestFinished(() => tokens.remove());
    tokens.write(tokenRecord('hall', 'viewer'), tokenRecord('gate', 'viewer'));
    const tokensFile = { path: tokens.path, mustExist: true };
    const { url } = await open({ maxConnectionsPerAddress: 200, tokensFile });
    const many = await Promise.all(
      Array.from({ length: 64 }, () => read(`${url}/api/streams/gate/mjpeg`, bearer('hall'))),
    );
    const other = await read(`${url}/api/streams/gate/mjpeg`, bearer('gate'));
    expect(other.contentType).toMatch(/^multipart/);
    await waitFor('one to end', () => many.filter((reader) => reader.isOver()).length === 1);
    const refused = await fetch(`${url}/api/streams/gate/mjpeg`, { headers: bearer('hall') });
    expect([refused.status, await refused.text()]).toEqual([429, expect.stringMatching(/63 by you; end one of yours/)]);
    expect(other.isOver()).toBe(false);
  });
});
