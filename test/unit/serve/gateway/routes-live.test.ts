import { type IncomingMessage, request } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Recorder } from '../../../../src/after/recording/recorder.ts';
import type { Clock } from '../../../../src/base/core/clock.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import type { PacketFragment, PacketsOpened } from '../../../../src/wire/protocol/packets.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { waitFor } from '../../../support/wait-for.ts';

const CLOCK: Clock = { now: () => 0 as never, setTimer: () => () => undefined };
const FRAMES = 25;

/** `ftyp` and `moov` of H.264 in as few boxes as are read. */
function initOf(): Buffer {
  const box = (type: string, ...parts: Uint8Array[]): Buffer => {
    const body = Buffer.concat(parts);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(body.length + 8);
    head.write(type, 4, 'latin1');
    return Buffer.concat([head, body]);
  };
  const entry = box('avc1', Buffer.alloc(78), box('avcC', Buffer.from([1, 0x64, 0, 0x1f])));
  const stsd = box('stsd', Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), entry);
  return Buffer.concat([
    box('ftyp', Buffer.alloc(8)),
    box('moov', box('trak', box('mdia', box('minf', box('stbl', stsd))))),
  ]);
}

/** A camera of a fragment a second, with a key frame every second one. */
class Camera {
  readonly opened: PacketsOpened;
  #next: number;
  /** @param first - number of its first fragment. */
  constructor(connection: string, first = 0) {
    this.#next = first;
    this.opened = {
      type: 'packets-opened',
      stream: 'gate',
      connection,
      init: initOf(),
      codec: 'avc1',
      timescale: 1000,
      shiftUs: 5e6,
      gap: 'reconnect',
    };
  }

  next(bytes = 100): PacketFragment {
    const i = this.#next++;
    return {
      type: 'packets',
      stream: 'gate',
      connection: this.opened.connection,
      sha256: '',
      frames: FRAMES,
      bytes: Buffer.alloc(bytes, i),
      isKey: i % 2 === 0,
      startUs: i * 1e6,
      endUs: (i + 1) * 1e6,
      firstUs: i * 1e6 + 80_000,
      firstTicks: 10_080 + i * 1000,
      baseTicks: 10_000 + i * 1000,
      baseAt: 0,
      endMs: Date.now(),
    };
  }
}

async function open(settings: object = { live: true }) {
  const port = new RuntimeDouble(['gate', 'yard']);
  const config = parseStream({ id: 'gate', source: 'a.mp4', ...settings }, {});
  const recorder = new Recorder({
    folder: '/nowhere/at-all',
    ringBytes: 2 ** 26,
    ffmpeg: null as never,
    clock: CLOCK,
    wallMs: Date.now,
    retention: { days: 1, eventDays: 1, clipDays: 1, labelDays: {}, maxBytes: 1 },
    configOf: (id) => (id === 'gate' ? config : null),
    onState: () => undefined,
    onNotice: () => undefined,
    openTarget: () => Promise.reject(new Error('nothing is pushed')),
  });
  const { url, close } = await openGateway(port, { recorder });
  const camera = new Camera('one');
  const send = (count: number, bytes = 100, from = camera): void => {
    for (let i = 0; i < count; i++) recorder.onPackets(from.next(bytes));
  };
  const own = `${url}/api/streams/gate`;
  /** Asks for a playlist that then has a segment, of the fragments 2 and 3, and the first part of the next. */
  const beginPlaylist = async (): Promise<string> => {
    recorder.onPackets(camera.opened);
    send(3);
    const asked = fetch(`${own}/live.m3u8`);
    await waitFor('a viewer', () => recorder.figures.viewers === 1);
    send(2);
    return (await asked).text();
  };
  return { port, recorder, url: own, close, camera, send, beginPlaylist };
}

/** Reads `live.mp4`. */
function read(url: string, onReply: (reply: IncomingMessage) => void = () => undefined) {
  return new Promise<{ headers: Record<string, unknown>; bytes: () => Buffer; isOver: () => boolean; end: () => void }>(
    (resolve, reject) => {
      const asked = request(`${url}/live.mp4`, (reply) => {
        const chunks: Buffer[] = [];
        let isOver = false;
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('close', () => {
          isOver = true;
        });
        reply.on('error', () => undefined);
        onReply(reply);
        resolve({
          headers: reply.headers,
          bytes: () => Buffer.concat(chunks),
          isOver: () => isOver,
          end: () => asked.destroy(),
        });
      });
      asked.on('error', reject);
      asked.end();
      onTestFinished(() => void asked.destroy());
    },
  );
}

describe('live.mp4', () => {
  it('begins with the newest key frame, goes on as it comes, and says where the times of results are', async () => {
    const { recorder, url, camera, send } = await open();
    recorder.onPackets(camera.opened);
    send(4);
    const viewer = await read(url);
    expect(viewer.headers).toMatchObject({
      'content-type': 'video/mp4; codecs="avc1.64001f"',
      'x-origin-us': String(-10e6),
      'cache-control': 'no-store',
    });
    send(1);
    const { length } = camera.opened.init;
    await waitFor('three fragments', () => viewer.bytes().length === length + 300);
    expect([0, 100, 200].map((at) => viewer.bytes()[length + at])).toEqual([2, 3, 4]);
    expect(Buffer.compare(viewer.bytes().subarray(0, length), camera.opened.init)).toBe(0);
    viewer.end();
    await waitFor('nobody', () => recorder.figures.viewers === 0);
  });

  it('waits for the first key frame, and says why if nothing comes', async () => {
    const { recorder, url, camera, send } = await open();
    const asked = read(url);
    recorder.onPackets(camera.opened);
    await waitFor('a viewer', () => recorder.figures.viewers === 1);
    camera.next();
    send(2);
    const { length } = camera.opened.init;
    const viewer = await asked;
    await waitFor('a fragment', () => viewer.bytes().length === length + 100);
    expect(viewer.bytes()[length]).toBe(2);
  });

  it.each([
    [{ live: false }, 'gate', 409, /it has no live video: it has neither \\"live: true\\"/],
    [{ live: true }, 'yard', 409, /no live video/],
    [{ live: true }, 'nobody', 404, /STREAM_NOT_FOUND/],
  ])('of %j, stream %s: %i', async (settings, id, status, message) => {
    const { url } = await open(settings);
    for (const file of ['live.mp4', 'live.m3u8', 'live/0.m4s']) {
      const reply = await fetch(`${url.replace('gate', id)}/${file}`);
      expect([reply.status, await reply.text()]).toEqual([status, expect.stringMatching(message)]);
    }
  });

  it('ends with the connection of the camera, with its stream, and with the gateway', async () => {
    const { port, recorder, url, camera, send, close } = await open();
    recorder.onPackets(camera.opened);
    send(1);
    const first = await read(url);
    const next = new Camera('two', 2);
    recorder.onPackets(next.opened);
    send(1, 100, next);
    await waitFor('its end', () => first.isOver());
    const second = await read(url);
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'stream-removed', stream: 'gate', message: 'removed' });
    await waitFor('its end', () => second.isOver());
    const third = await read(url);
    await close();
    await waitFor('its end', () => third.isOver());
    await waitFor('nobody', () => recorder.figures.viewers === 0);
  });

  it('gives a slow viewer the newest key frame, counts what it misses, and holds a few megabytes for it', async () => {
    const { recorder, url, camera, send } = await open();
    recorder.onPackets(camera.opened);
    send(1);
    let slow!: IncomingMessage;
    await read(url, (reply) => {
      slow = reply.pause();
    });
    let fastBytes = 0;
    await read(url, (reply) => reply.on('data', (chunk: Buffer) => (fastBytes += chunk.length)));
    for (let i = 1; i <= 100; i++) {
      send(1, 2 ** 20);
      await waitFor('the fast one has it', () => fastBytes >= i * 2 ** 20);
    }
    expect(recorder.figures.skippedFrames).toBeGreaterThan(50 * FRAMES);
    let [held, last, newest] = [0, -1, -2];
    slow.on('data', (chunk: Buffer) => {
      held += chunk.length;
      last = chunk.at(-1)!;
    });
    slow.resume();
    await waitFor('the newest', () => {
      const isThere = last === newest;
      const fragment = camera.next(10);
      newest = fragment.bytes[0]!;
      recorder.onPackets(fragment);
      return isThere;
    });
    // In the gateway, and in the buffers of both sockets.
    expect(held).toBeLessThan(40 * 2 ** 20);
    const { skippedFrames } = recorder.figures;
    send(4);
    expect(recorder.figures.skippedFrames).toBe(skippedFrames);
  });

  it('is watched by ten from one ring, without a copy', async () => {
    const { recorder, url, camera, send } = await open();
    recorder.onPackets(camera.opened);
    send(1);
    const viewers = await Promise.all(Array.from({ length: 10 }, () => read(url)));
    expect(recorder.figures.viewers).toBe(10);
    send(5);
    const { length } = camera.opened.init;
    for (const viewer of viewers) await waitFor('all of it', () => viewer.bytes().length === length + 600);
    expect(recorder.figures).toMatchObject({ skippedFrames: 0, writtenBytes: 0 });
  });
});

describe('live.m3u8', () => {
  it('has whole segments that begin with key frames, the newest in parts, and every fragment once', async () => {
    const { recorder, url, camera, send, beginPlaylist } = await open();
    await beginPlaylist();
    send(20);
    const text = await (await fetch(`${url}/live.m3u8`)).text();
    expect(text).toMatch(/^#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n/);
    const names = [...text.matchAll(/^live\/(\d+)\.m4s$/gm)].map(([, number]) => Number(number));
    expect(names.length).toBeGreaterThanOrEqual(5);
    expect(names.length).toBeLessThan(10);
    expect(text).toContain(`#EXT-X-MEDIA-SEQUENCE:${names[0]}\n`);
    const file = async (name: string): Promise<Buffer> =>
      Buffer.from(await (await fetch(`${url}/live/${name}`)).arrayBuffer());
    expect(Buffer.compare(await file(/URI="live\/(init-one\.mp4)"/.exec(text)![1]!), camera.opened.init)).toBe(0);
    for (const number of names) {
      const bytes = await file(`${number}.m4s`);
      expect([bytes.length, bytes[0], bytes[100]]).toEqual([200, number * 2 + 2, number * 2 + 3]);
    }
    const parts = [...text.matchAll(/#EXT-X-PART:DURATION=1\.000000,URI="live\/(\d+)\.(\d)\.m4s"(,INDEPENDENT=YES)?/g)];
    expect(parts.map(([, , part, key]) => [part, key !== undefined]).slice(0, 2)).toEqual([
      ['0', true],
      ['1', false],
    ]);
    const [, number, part] = parts.at(-1)!;
    expect((await file(`${number}.${part}.m4s`))[0]).toBe(24);
    expect((await fetch(`${url}/live/0.m4s`)).status).toBe(404);
    expect(recorder.figures.viewers).toBe(1);
  });

  it('answers once the part that is asked for is there', async () => {
    const { url, send, beginPlaylist } = await open();
    expect(await beginPlaylist()).toContain('live/1.0.m4s');
    let isThere = false;
    const asked = fetch(`${url}/live.m3u8?_HLS_msn=1&_HLS_part=1`).then(async (reply) => {
      isThere = true;
      return reply.text();
    });
    await fetch(`${url}/live.m3u8?_HLS_msn=1&_HLS_part=0`);
    expect(isThere).toBe(false);
    send(1);
    expect(await asked).toContain('live/1.1.m4s');
    const far = await fetch(`${url}/live.m3u8?_HLS_msn=9`);
    expect([far.status, await far.text()]).toEqual([400, expect.stringMatching(/_HLS_msn: expected at most 3/)]);
  });

  it('says where the next connection of the camera begins', async () => {
    const { recorder, url, send, beginPlaylist } = await open();
    await beginPlaylist();
    const next = new Camera('two', 6);
    recorder.onPackets(next.opened);
    send(3, 100, next);
    const text = await (await fetch(`${url}/live.m3u8`)).text();
    expect(text).toMatch(/#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="live\/init-two\.mp4"/);
    send(16, 100, next);
    const later = await (await fetch(`${url}/live.m3u8`)).text();
    expect(later).toContain('#EXT-X-DISCONTINUITY-SEQUENCE:1\n');
    expect(later).not.toContain('init-one');
  });
});
