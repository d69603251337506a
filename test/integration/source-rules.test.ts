import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { RefusingCamera } from '../support/rtsp-server.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { waitFor } from '../support/wait-for.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const FRAMES = 10;
const folder = temporaryFolder();
const root = join(folder.path, 'root');
const secret = join(folder.path, 'private');
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));

mkdirSync(root);
mkdirSync(secret);
const clip = join(secret, 'clip.ts');
/** No web server has it. */
const hidden = join(secret, 'hidden.ts');
await promisify(execFile)(testFfmpeg.path, [
  ...['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=10', '-frames:v', String(FRAMES)],
  ...['-c:v', 'mpeg2video', '-g', '5', '-f', 'mpegts', clip],
]);
copyFileSync(clip, hidden);
await promisify(execFile)(testFfmpeg.path, [
  ...['-v', 'error', '-y', '-i', clip, '-frames:v', '4', join(secret, 'x%d.png')],
]);

afterAll(() => folder.remove());

const playlist = (...entries: readonly string[]): string =>
  [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    '#EXT-X-TARGETDURATION:2',
    '#EXT-X-MEDIA-SEQUENCE:0',
    ...entries,
    '#EXT-X-ENDLIST',
    '',
  ].join('\n');
const entry = (url: string): string => playlist('#EXTINF:1.0,', url);

/** Plays local files under the root, and by HTTP what lies outside of it. */
describe.each(ffmpegs)('a local file, $label', ({ binary }) => {
  let host: RuledHost;
  beforeAll(async () => {
    const fleet = { roots: [root], schemes: ['file'] };
    host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, fleet });
  });
  afterAll(() => host.close());

  it('plays', async () => {
    copyFileSync(clip, join(root, 'clip.ts'));
    expect(await host.play(join(root, 'clip.ts'))).toMatchObject({ frames: FRAMES, error: '' });
  });

  it.each([
    ['a playlist', 'local.m3u8', entry(clip)],
    ['a playlist under another name', 'local.mp4', entry(clip)],
    ['a playlist with a part of a file', 'part.m3u8', entry(`subfile,,start,0,end,0,,:${clip}`)],
    ['a script of parts', 'parts.ffconcat', `ffconcat version 1.0\nfile '${clip}'\n`],
    [
      'a session description',
      'camera.sdp',
      'v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n',
    ],
    ['a text file', 'notes.nfo', 'the text of a file as a picture\n'.repeat(50)],
    ['another text file', 'notes.txt', 'the text of a file as a picture\n'.repeat(50)],
  ])('that is %s is refused', async (_, name, text) => {
    writeFileSync(join(root, name), text);
    const { frames, state, error } = await host.play(join(root, name));
    expect({ frames, state }).toEqual({ frames: 0, state: 'failed' });
    expect(error).toMatch(/^SOURCE_(FORBIDDEN|UNREADABLE) /);
  });

  it('that is a playlist says so', async () => {
    writeFileSync(join(root, 'local.m3u8'), entry(clip));
    expect((await host.play(join(root, 'local.m3u8'))).error).toMatch(
      /^SOURCE_FORBIDDEN .*local\.m3u8: it is a playlist/,
    );
  });

  it('whose name is a pattern does not open other files', async () => {
    mkdirSync(join(root, 'pictures'), { recursive: true });
    const pattern = join(root, 'pictures', 'x%d.png');
    writeFileSync(pattern, '');
    for (const n of [1, 2, 3, 4]) {
      const link = join(root, 'pictures', `x${n}.png`);
      if (!existsSync(link)) symlinkSync(join(secret, `x${n}.png`), link);
    }
    expect(await host.play(pattern)).toMatchObject({ frames: 0, state: 'failed' });
  });

  it('that became a link to another folder since it was admitted is refused', async () => {
    const path = join(root, 'swapped.ts');
    rmSync(path, { force: true });
    copyFileSync(clip, path);
    const { id } = await host.host.addStream({ id: 'swapped', source: path, loop: true });
    await expect.poll(() => host.framesOf(id)).toBeGreaterThan(0);
    await host.host.pauseStream(id);
    const before = host.framesOf(id);
    symlinkSync(clip, `${path}.new`);
    renameSync(`${path}.new`, path);
    await host.host.resumeStream(id);
    const lastError = (): string => host.host.runtime.streamReport(host.host.runtime.stream(id)).lastError ?? '';
    await expect.poll(lastError).toMatch(/allowed are files below/);
    expect(host.framesOf(id)).toBe(before);
    await host.host.removeStream(id);
  });
});

/** Whether a request carries the digest of `user` and `secret` for exactly its own address (RFC 2617, without qop). */
function hasDigest(method: string, url: string, header: string | undefined): boolean {
  const field = (name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(header ?? '')?.[1] ?? '';
  const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
  const expected = md5(`${md5('user:camera:secret')}:${NONCE}:${md5(`${method}:${url}`)}`);
  return field('uri') === url && field('response') === expected;
}

const NONCE = 'a1b2c3';
const CHALLENGE = `Digest realm="camera", nonce="${NONCE}"`;

/** Web servers on two addresses of this machine. Each serves `/clip.ts` and what a test puts there. */
class Site {
  readonly server: Server;
  readonly requests: string[] = [];
  readonly pages = new Map<string, string | ((request: IncomingMessage, response: ServerResponse) => void)>();

  constructor() {
    this.server = createServer((request, response) => {
      const path = request.url ?? '/';
      this.requests.push(path);
      const page = this.pages.get(path.split('?')[0]!);
      if (typeof page === 'function') page(request, response);
      else if (page !== undefined) response.end(page);
      else if (path.split('?')[0]!.endsWith('clip.ts')) response.end(readFileSync(clip));
      else response.writeHead(404).end();
    });
  }

  async open(address: string): Promise<void> {
    this.server.listen(0, address);
    await once(this.server, 'listening');
  }

  get origin(): string {
    const { address, port } = this.server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  redirects(path: string, to: string, status = 302): void {
    this.pages.set(path, (_, response) => void response.writeHead(status, { location: to }).end());
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe.each(ffmpegs)('a web server in the allowed networks, $label', ({ binary }) => {
  const allowed = new Site();
  const forbidden = new Site();
  let host: RuledHost;
  beforeAll(async () => {
    await allowed.open('127.0.0.1');
    await forbidden.open('127.0.0.2');
    const fleet = { networks: ['127.0.0.1/32'], schemes: ['http'] };
    const named = { id: 'own', source: `${forbidden.origin}/own-clip.ts`, policy: 'file' };
    host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, fleet, streams: [named] });
  });
  afterAll(async () => {
    await host.close();
    allowed.close();
    forbidden.close();
  });

  it.each([
    ['a file', '/clip.ts'],
    ['a relative redirect', '/to-clip'],
    ['an absolute redirect', '/to-clip-absolute'],
    ['a playlist with a relative entry', '/relative/list.m3u8'],
    ['a playlist with an entry from the root of the server', '/deep/er/list.m3u8'],
    ['a playlist with an absolute entry', '/absolute.m3u8'],
    ['a playlist with an entry of the same scheme', '/same-scheme.m3u8'],
    ['a playlist behind a redirect, with relative entries', '/to-list'],
  ])('plays %s', async (_, path) => {
    allowed.redirects('/to-clip', '/clip.ts');
    allowed.redirects('/to-clip-absolute', `${allowed.origin}/clip.ts`, 301);
    allowed.pages.set('/relative/list.m3u8', entry('../clip.ts?token=a'));
    allowed.pages.set('/deep/er/list.m3u8', entry('/clip.ts'));
    allowed.pages.set('/absolute.m3u8', entry(`${allowed.origin}/clip.ts?next=https://elsewhere:8443/x`));
    allowed.pages.set('/same-scheme.m3u8', entry(`${allowed.origin.replace('http:', '')}/clip.ts`));
    allowed.redirects('/to-list', `${allowed.origin}/relative/list.m3u8`);
    allowed.requests.length = 0;
    expect(await host.play(`${allowed.origin}${path}`)).toMatchObject({ frames: FRAMES, error: '', warnings: [] });
    // Addresses in a query arrive as they were written.
    for (const request of allowed.requests.filter((each) => each.includes('next=')))
      expect(request).toMatch(/next=(http:\/\/elsewhere\/x|https:\/\/elsewhere:8443\/x)$/);
  });

  it('sees the same request as without a proxy', async () => {
    let seen: IncomingMessage | null = null;
    allowed.pages.set('/seen.ts', (request, response) => {
      seen = request;
      response.end(readFileSync(clip));
    });
    const url = `${allowed.origin}/seen.ts?b=1&a=%2F+x`.replace('http://', 'http://user:p%40ss@');
    allowed.pages.set('/seen.ts', (request, response) => {
      if (request.headers.authorization === undefined)
        return void response.writeHead(401, { 'www-authenticate': 'Basic realm="camera"' }).end();
      seen = request;
      response.end(readFileSync(clip));
    });
    expect(await host.play(url)).toMatchObject({ frames: FRAMES, error: '' });
    const { headers, url: path } = seen! as IncomingMessage;
    expect(path).toBe('/seen.ts?b=1&a=%2F+x');
    expect(headers.host).toBe(new URL(allowed.origin).host);
    expect(Buffer.from(headers.authorization!.slice('Basic '.length), 'base64').toString()).toBe('user:p@ss');
    expect(Object.keys(headers).filter((name) => /proxy|forwarded|via/.test(name))).toEqual([]);
  });

  it('accepts a digest for the address that it sees', async () => {
    allowed.pages.set('/digest.ts', (request, response) => {
      if (hasDigest('GET', request.url!, request.headers.authorization)) response.end(readFileSync(clip));
      else response.writeHead(401, { 'www-authenticate': CHALLENGE }).end();
    });
    const url = `${allowed.origin}/digest.ts?a=1`.replace('http://', 'http://user:secret@');
    expect(await host.play(url)).toMatchObject({ frames: FRAMES, error: '' });
  });

  it('can encrypt its segments', async () => {
    const place = join(folder.path, 'encrypted');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'key.bin'), '0123456789abcdef');
    writeFileSync(join(place, 'key.txt'), `/key.bin\n${join(place, 'key.bin')}\n`);
    await promisify(execFile)(testFfmpeg.path, [
      ...['-v', 'error', '-y', '-i', clip, '-c', 'copy', '-f', 'hls', '-hls_list_size', '0'],
      ...['-hls_key_info_file', join(place, 'key.txt'), join(place, 'list.m3u8')],
    ]);
    for (const name of readdirSync(place))
      allowed.pages.set(`/${name}`, (_, response) => void response.end(readFileSync(join(place, name))));
    expect(await host.play(`${allowed.origin}/list.m3u8`)).toMatchObject({ frames: FRAMES, error: '' });
    expect(allowed.requests).toContain('/key.bin');
  });

  it('passes on the part of a file that ffmpeg asks for', async () => {
    const bytes = readFileSync(clip);
    const ranges: string[] = [];
    allowed.pages.set('/part.ts', (request, response) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      ranges.push(request.headers.range ?? '');
      const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
      response.writeHead(206, {
        'content-range': range,
        'accept-ranges': 'bytes',
        'content-length': bytes.length - from,
      });
      response.end(bytes.subarray(from));
    });
    expect(await host.play(`${allowed.origin}/part.ts`)).toMatchObject({ frames: FRAMES, error: '' });
    expect(ranges[0]).toBe('bytes=0-');
  });

  it.each([
    ['a redirect', '/away'],
    ['a second redirect', '/away-twice'],
    ['a playlist', '/away.m3u8'],
    ['a playlist under another name', '/away.ts'],
    ['an entry of the same scheme', '/away-same-scheme.m3u8'],
    ['an entry that redirects', '/away-entry.m3u8'],
    ['a key', '/away-key.m3u8'],
    ['a variant', '/away-variant.m3u8'],
  ])('cannot lead to another network by %s', async (_, path) => {
    const { origin } = forbidden;
    allowed.redirects('/away', `${origin}/clip.ts`);
    allowed.redirects('/away-twice', '/away', 307);
    allowed.pages.set('/away.m3u8', entry(`${origin}/clip.ts`));
    allowed.pages.set('/away.ts', entry(`${origin}/clip.ts`));
    allowed.pages.set('/away-same-scheme.m3u8', entry(`${origin.replace('http:', '')}/clip.ts`));
    allowed.redirects('/away-entry.ts', `${origin}/clip.ts`);
    allowed.pages.set('/away-entry.m3u8', entry('/away-entry.ts'));
    const key = `#EXT-X-KEY:METHOD=AES-128,URI="${origin}/key.ts",IV=0x00000000000000000000000000000001`;
    allowed.pages.set('/away-key.m3u8', playlist(key, '#EXTINF:1.0,', '/clip.ts'));
    allowed.pages.set('/away-variant.m3u8', `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\n${origin}/list.m3u8\n`);
    forbidden.requests.length = 0;
    const { frames, state, error } = await host.play(`${allowed.origin}${path}`);
    expect({ frames, state, seen: forbidden.requests }).toEqual({ frames: 0, state: 'failed', seen: [] });
    expect(error).toMatch(/^SOURCE_FORBIDDEN .*127\.0\.0\.2.*allowed are the networks 127\.0\.0\.1\/32/);
  });

  it.each([
    ['a file', entry(`file://${hidden}`)],
    ['a part of a file', entry(`subfile,,start,0,end,0,,:${hidden}`)],
    ['a decrypted file', entry(`crypto:file:${hidden}`)],
    ['joined files', entry(`concat:${hidden}|${hidden}`)],
    ['data in the address', entry(`data:video/mp2t;base64,${readFileSync(clip).subarray(0, 1880).toString('base64')}`)],
    ['a pipe', entry('pipe:0')],
    ['a key in a file', playlist(`#EXT-X-KEY:METHOD=AES-128,URI="file://${hidden}"`, '#EXTINF:1.0,', '/clip.ts')],
    ['a script of parts', `ffconcat version 1.0\nfile '${hidden}'\n`],
    ['a DASH manifest', dashManifest()],
    ['a text', 'the text of a page as a picture\n'.repeat(50)],
  ])('cannot make ffmpeg open %s', async (_, text) => {
    allowed.pages.set('/odd.m3u8', text);
    allowed.pages.set('/odd.txt', text);
    for (const path of ['/odd.m3u8', '/odd.txt'])
      expect(await host.play(`${allowed.origin}${path}`)).toMatchObject({ frames: 0, state: 'failed' });
  });

  it('reports a segment that may not be opened while others play', async () => {
    const entries = ['#EXTINF:1.0,', '/clip.ts', '#EXTINF:1.0,', `${forbidden.origin}/clip.ts`];
    allowed.pages.set('/half.m3u8', playlist(...entries));
    const { frames, warnings } = await host.play(`${allowed.origin}/half.m3u8`);
    expect(frames).toBe(FRAMES);
    expect(warnings.join()).toContain('it leads to 127.0.0.2');
  });

  it.each([
    ['/none', /^SOURCE_UNREACHABLE .*404 Not Found/],
    ['/secret', /^SOURCE_UNAUTHORIZED .*401 Unauthorized/],
    ['/broken', /^SOURCE_UNREACHABLE .*Server returned 5XX/],
    ['/loop', /^SOURCE_/],
    ['/mail', /^SOURCE_FORBIDDEN .*it redirects to mailto:a; expected http/],
  ])('is reported for what it answers: %s', async (path, message) => {
    allowed.pages.set('/secret', (_, response) => void response.writeHead(401).end());
    allowed.pages.set('/broken', (_, response) => void response.writeHead(503).end());
    allowed.redirects('/loop', '/loop');
    allowed.redirects('/mail', 'mailto:a');
    expect((await host.play(`${allowed.origin}${path}`)).error).toMatch(message);
  });

  it('is reported if it does not answer', async () => {
    const gone = createTcpServer();
    gone.listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, 'close');
    const { error } = await host.play(`http://127.0.0.1:${port}/clip.ts`);
    expect(error).toMatch(/^SOURCE_UNREACHABLE .*127\.0\.0\.1:\d+: connection refused/);
  });

  it('that is cut off each time it is opened is said once at most', async () => {
    let requests = 0;
    const server = createServer((_request, response) => {
      requests += 1;
      response.writeHead(200, { 'content-type': 'video/mp4', 'content-length': 100_000 });
      response.write(readFileSync(clip).subarray(0, 48), () => response.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const source = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cut.mp4`;
    try {
      await host.host.addStream({ id: 'cut', source, policy: 'live' });
      await waitFor('it to be opened again and again', () => requests >= 5);
    } finally {
      await host.host.removeStream('cut');
      server.close();
    }
    const said = host.warningsOf('cut').filter((text) => text.includes('ends early'));
    // Not every version of ffmpeg says it.
    expect(said.length).toBeLessThanOrEqual(1);
  });

  it('does not bind a source that the pipeline file names', async () => {
    await host.host.start();
    await host.host.runtime.stream('own').settled();
    expect(host.framesOf('own')).toBe(FRAMES);
    // For another stream it is one like all others: who may change that one must not see this one.
    const { source } = host.host.streamSettings('own').settings;
    expect((await host.play(source)).error).toMatch(/^SOURCE_FORBIDDEN /);
    expect((await host.host.changeStream('own', { source })).id).toBe('own');
  });
});

function dashManifest(): string {
  return [
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">',
    `<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>file://${hidden}</BaseURL>`,
    '</Representation></AdaptationSet></Period></MPD>',
  ].join('');
}

/** A camera that redirects every reader, and counts who asks. */
class RedirectingCamera {
  readonly server: TcpServer;
  readonly requests: string[] = [];
  location = '';
  wantsDigest = false;

  constructor() {
    this.server = createTcpServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (data) => {
        const text = data.toString();
        this.requests.push(text.split('\r\n')[0]!);
        const sequence = /CSeq: *(\d+)/i.exec(text)?.[1] ?? '1';
        const [method = '', uri = ''] = text.split(' ');
        const header = /^Authorization: (.*)$/im.exec(text)?.[1];
        if (this.wantsDigest && method === 'DESCRIBE' && !hasDigest(method, uri, header))
          return void socket.write(
            `RTSP/1.0 401 Unauthorized\r\nCSeq: ${sequence}\r\nWWW-Authenticate: ${CHALLENGE}\r\n\r\n`,
          );
        const reply = text.startsWith('DESCRIBE') ? `302 Moved\r\n${this.location}` : '200 OK\r\nPublic: DESCRIBE';
        socket.write(`RTSP/1.0 ${reply.replace('\r\n', `\r\nCSeq: ${sequence}\r\n`)}\r\n\r\n`);
      });
    });
  }

  async open(address: string): Promise<string> {
    this.server.listen(0, address);
    await once(this.server, 'listening');
    return `rtsp://${address}:${(this.server.address() as AddressInfo).port}/cam`;
  }
}

describe.each(ffmpegs)('a camera in the allowed networks, $label', ({ binary }) => {
  const camera = new RedirectingCamera();
  const other = new RedirectingCamera();
  let url: string;
  let otherUrl: string;
  let host: RuledHost;
  beforeAll(async () => {
    url = await camera.open('127.0.0.1');
    otherUrl = await other.open('127.0.0.2');
    const fleet = { networks: ['127.0.0.1/32'], schemes: ['rtsp'] };
    host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, fleet });
  });
  afterAll(async () => {
    await host.close();
    camera.server.close();
    other.server.close();
  });

  it.each([
    ['as usual', (to: string) => `Location: ${to}`],
    ['in small letters', (to: string) => `location:${to}`],
    ['with a carriage return in the name', (to: string) => `Loca\rtion: ${to}`],
    ['after a packet of media', (to: string) => `$\0\0\x04abcdLocation: ${to}`],
  ])('cannot redirect to another network: %s', async (_, header) => {
    camera.location = header(otherUrl);
    const { frames, state, error } = await host.play(url);
    expect({ frames, state, seen: other.requests }).toEqual({ frames: 0, state: 'failed', seen: [] });
    expect(error).toMatch(/^SOURCE_FORBIDDEN .*it leads to 127\.0\.0\.2/);
  });

  it('has no such path, and the error says so', async () => {
    const refusing = await RefusingCamera.open('404 Not Found');
    const { error } = await host.play(`rtsp://127.0.0.1:${refusing.port}/cam2`);
    expect(error).toMatch(/^SOURCE_UNREACHABLE .*the camera has no such path/);
    refusing.close();
  });

  it('can redirect within them', async () => {
    camera.location = `Location: ${url}/other`;
    camera.requests.length = 0;
    const { error } = await host.play(url);
    expect(camera.requests.filter((line) => line.startsWith('DESCRIBE')).at(-1)).toContain(`${url}/other`);
    expect(error).toMatch(/^SOURCE_UNREACHABLE .*it redirects again and again/);
  });

  it('accepts a digest', async () => {
    camera.location = 'Location: mailto:a';
    camera.wantsDigest = true;
    const { error } = await host.play(url.replace('rtsp://', 'rtsp://user:secret@'));
    camera.wantsDigest = false;
    // It redirects only who is authorised.
    expect(error).toMatch(/^SOURCE_FORBIDDEN .*it redirects to mailto:a/);
    expect((await host.play(url.replace('rtsp://', 'rtsp://user:wrong@'))).error).not.toBe('');
  });

  it('is refused over UDP, where it could name any address', async () => {
    expect((await host.play(url, { transport: 'udp' })).error).toMatch(/^SOURCE_FORBIDDEN .*use transport tcp/);
  });
});
