import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import { NetworkList } from '../../src/frame/source/network-list.ts';
import { findDevices } from '../../src/frame/source/onvif/find-devices.ts';
import { OnvifDevice } from '../../src/frame/source/onvif/onvif-device.ts';
import { Dialler } from '../../src/frame/source/open/dialler.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { OnvifCamera, type OnvifShape } from '../support/onvif-camera.ts';
import { RtspServer, rtspScript } from '../support/rtsp-server.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const LOGIN = { user: 'viewer', password: 'pa:ss&wörd' };
const LOCAL = ['127.0.0.0/8'];
const main = {
  token: 'main',
  name: 'Main',
  width: 1920,
  height: 1080,
  fps: 25,
  uri: 'rtsp://127.0.0.1:9/main?a=1&b=2',
};
const sub = { token: 'a<b', name: 'Sub', width: 640, height: 360, fps: 10, uri: 'rtsp://127.0.0.1:9/sub' };

let nextPort = 41_700 + (process.pid % 1000);
let camera: OnvifCamera | null = null;
afterEach(() => camera?.close());

async function open(shape: Partial<OnvifShape> = {}): Promise<OnvifCamera> {
  nextPort += 1;
  camera = await OnvifCamera.open({ profiles: [main, sub], port: nextPort, ...shape });
  return camera;
}

const find = (networks = LOCAL) =>
  findDevices(new NetworkList(networks, '--network'), 800, new AbortController().signal, nextPort);
const ask = (url: string, login: typeof LOGIN | null = LOGIN, timeoutMs = 2_000) =>
  new OnvifDevice({
    url,
    address: '127.0.0.1',
    login,
    timeoutMs,
    dialler: new Dialler({ ...FREE_ACCESS, networks: LOCAL }),
  }).profiles();
const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
  );

describe('a search for devices', () => {
  it('finds those that answer it, with their names', async () => {
    const { url } = await open();
    expect(await find()).toEqual([{ address: '127.0.0.1', url, name: 'Front Door', hardware: 'T-1000' }]);
  });

  it('finds all that one address answers for, and drops an answer without a service beside one that has it', async () => {
    const others = ['http://127.0.0.1:1/camera-1', 'http://127.0.0.1:1/camera-2'];
    const { url } = await open({ others: ['http://10.0.0.1/onvif/device_service', ...others] });
    expect((await find()).map((device) => device.url)).toEqual([...others, url]);
  });

  it.each([
    ['another question', { relatesTo: 'uuid:somebody-else' }],
    ['an address outside of the networks', { answersFrom: '127.0.0.2' }],
  ])('takes no answer to or from %s', async (_, shape) => {
    await open(shape);
    expect(await find(['127.0.0.1/32'])).toEqual([]);
  });

  it('takes a name from those who send one', async () => {
    await open({ scopes: '' });
    expect(await find()).toMatchObject([{ name: '', hardware: '' }]);
  });

  it('takes 64 services of an address, however many it names', async () => {
    const others = Array.from({ length: 100 }, (_, i) => `http://127.0.0.1:1/camera-${i}`);
    await open({ others });
    expect((await find()).map(({ url }) => url)).toEqual(others.slice(0, 64));
  });

  it('sends nothing into networks that are not allowed', async () => {
    await open();
    expect(await failure(find(['10.99.0.0/16']))).toBe(
      'SOURCE_UNREACHABLE this machine has no address in 10.99.0.0/16 (--network), which may be searched',
    );
  });

  it.each([
    'http://10.0.0.1/onvif/device_service',
    'http://127.0.0.1@10.0.0.1/',
    'file:///etc/passwd',
    'ftp://127.0.0.1/http://',
    'http://localhost:22/',
    '',
  ])('never takes another address than the one that answered: %s', async (xaddr) => {
    await open({ xaddr });
    expect(await find()).toMatchObject([{ address: '127.0.0.1', url: null }]);
  });
});

describe('a device', () => {
  it.each([
    ['with a login', { login: LOGIN }],
    ['whose clock is an hour ahead', { login: LOGIN, aheadMs: 3_600_000 }],
    ['that knows no GetServices', { login: LOGIN, isOld: true }],
  ])('%s names its video streams', async (_name, shape) => {
    const { url, bodies } = await open(shape);
    expect(await ask(url)).toEqual([
      { name: 'Main', codec: 'H264', width: 1920, height: 1080, fps: 25, source: main.uri },
      { name: 'Sub', codec: 'H264', width: 640, height: 360, fps: 10, source: sub.uri },
    ]);
    expect(bodies.join()).not.toContain(LOGIN.password);
  });

  it('may call its profiles by numbers', async () => {
    const { url } = await open({ profiles: [{ ...main, token: '007' }] });
    expect(await ask(url)).toMatchObject([{ name: 'Main', source: main.uri }]);
  });

  it('says if the login is wrong, or missing', async () => {
    const { url } = await open({ login: LOGIN });
    expect(await failure(ask(url, { user: 'viewer', password: 'wrong' }))).toBe(
      'SOURCE_UNAUTHORIZED it refuses the login',
    );
    expect(await failure(ask(url, null))).toBe('SOURCE_UNAUTHORIZED it asks for a login (--login-file)');
  });

  it('does not lead anywhere else', async () => {
    const { url } = await open({ mediaXaddr: 'http://169.254.169.254/latest/meta-data' });
    expect(await failure(ask(url, null))).toMatch(
      /^SOURCE_FORBIDDEN its media service is at http:\/\/169\.254\.169\.254/,
    );
    camera!.close();
    for (const uri of [
      'rtsp://10.0.0.7/1',
      'rtsp://127.0.0.1@10.0.0.7/1',
      'http://127.0.0.1/admin',
      'http://127.0.0.1/rtsp://127.0.0.1/',
      'file:///etc/passwd',
    ]) {
      const again = await open({ profiles: [{ ...sub, uri }] });
      expect(await failure(ask(again.url, null)), uri).toMatch(/^SOURCE_FORBIDDEN its stream is at/);
      again.close();
    }
  });

  it.each([
    ['an endless reply', 'x'.repeat(70_000), /SOURCE_UNREADABLE its reply is longer than 524288 bytes/],
    ['a slow reply', null, /SOURCE_UNREACHABLE .*no whole answer within 500 ms/],
    [
      'entities that grow',
      '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
      /SOURCE_UNREADABLE its reply has a document type/,
    ],
    ['no XML', '<a><b', /SOURCE_UNREADABLE/],
    ['elements in elements', '<a>'.repeat(50_000), /SOURCE_UNREADABLE/],
    ['another document', '<html></html>', /SOURCE_UNREADABLE its reply is no SOAP message/],
  ])('that answers with %s is given up', async (name, reply, expected) => {
    const { url } = await open({
      answer: (_request, response) => {
        if (reply === null) {
          const timer = setInterval(() => response.write(' '), 50);
          response.once('close', () => clearInterval(timer));
        } else if (name === 'an endless reply') {
          const write = (): void => {
            while (!response.destroyed && response.write(reply));
          };
          response.on('drain', write);
          write();
        } else response.end(reply);
        return true;
      },
    });
    expect(await failure(ask(url, null, 500 + (reply === null ? 0 : 5_000)))).toMatch(expected);
  });

  it('that redirects is not followed', async () => {
    const { url, requests } = await open({
      answer: (_request, response) => {
        response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
        return true;
      },
    });
    expect(await failure(ask(url, null))).toMatch(/^SOURCE_UNREADABLE/);
    expect(requests).not.toHaveLength(0);
  });
});

if (rtspScript.path === null) console.warn(`streams of found cameras are not opened: ${rtspScript.reason}`);
describe('sightline discover', () => {
  const discover = async (...args: string[]): Promise<{ text: string; code: number | null }> => {
    const flags = ['--network', ...LOCAL, '--wait', '1', ...args];
    const { stdout, stderr, code } = await cliHere(['discover', ...flags], { FFMPEG_PATH: testFfmpeg.path });
    return { text: stdout === '' ? stderr : stdout, code };
  };

  it.skipIf(rtspScript.path === null)(
    'opens each stream, and recommends the smallest that suffices',
    async () => {
      const videos = new VideoFolder();
      const loginFile = join(folder.path, 'login.txt');
      writeFileSync(loginFile, `${LOGIN.user}:${LOGIN.password}\n`);
      const large = await RtspServer.open(await videos.make('large.mp4', { frames: 500, width: 1280, height: 720 }));
      const small = await RtspServer.open(await videos.make('small.mp4', { frames: 500, width: 480, height: 270 }));
      const tiny = { token: 't', name: 'Tiny', width: 160, height: 90, fps: 25, uri: 'rtsp://127.0.0.1:9/tiny' };
      try {
        // WS-Discovery's own port.
        const profiles = [{ ...main, uri: large.url }, { ...sub, uri: small.url }, tiny];
        await open({ port: 3702, login: LOGIN, profiles });
        const { cameras } = JSON.parse((await discover('--login-file', loginFile, '--json')).text);
        expect(cameras).toMatchObject([
          {
            address: '127.0.0.1',
            problem: null,
            streams: [
              { name: 'Main', measured: { width: 1280, height: 720 }, isRecommended: false },
              { name: 'Sub', measured: { width: 480, height: 270 }, isRecommended: true },
              { name: 'Tiny', measured: null, problem: expect.stringContaining('127.0.0.1:9') },
            ],
          },
        ]);
        const yaml = await discover('--login-file', loginFile, '--no-measure', '--yaml');
        const { streams } = parsePipeline(yaml.text, 'found', { CAMERA_USER: 'u', CAMERA_PASSWORD: 'p' });
        expect(streams).toMatchObject([{ id: 'front-door' }]);
        expect(yaml.text).toContain(
          small.url.replace('://', () => '://$' + '{env:CAMERA_USER}:$' + '{env:CAMERA_PASSWORD}@'),
        );
        const people = await discover('--login-file', loginFile, '--no-measure');
        expect(people.text).toMatch(/Front Door, T-1000 +Main +H264 1920x1080 25\/s/);
        expect(people.text).toMatch(/\* Sub/);
        for (const { text } of [yaml, people]) expect(text).not.toContain('ss&w');
      } finally {
        await Promise.all([large.stop(), small.stop()]);
        videos.remove();
      }
    },
    90_000,
  );

  it('refuses a size, a time and a login that are none', async () => {
    const bad = join(folder.path, 'bad.txt');
    writeFileSync(bad, 'nothing');
    expect(await discover('--input-size', 'large')).toMatchObject({
      text: expect.stringContaining('--input-size: expected a size'),
    });
    expect(await discover('--wait', 'x')).toMatchObject({
      text: expect.stringContaining('--wait: expected 0.5 to 60 seconds, received "x"'),
    });
    expect(await discover('--login-file', bad)).toMatchObject({
      text: expect.stringContaining('expected user:password in it'),
    });
  });
});
