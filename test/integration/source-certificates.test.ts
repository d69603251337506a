import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect, type Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificate, CertificateMaker, hasOpenssl } from '../support/certificate-maker.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { RtspServer, rtspScript } from '../support/rtsp-server.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const FRAMES = 10;
const folder = temporaryFolder();
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
const clip = join(folder.path, 'clip.ts');
const hls = join(folder.path, 'hls');

afterAll(() => folder.remove());

type CertificateName = 'good' | 'self-signed' | 'expired' | 'other-name' | 'unknown';

const COMPLAINTS: readonly (readonly [CertificateName, RegExp])[] = [
  ['self-signed', /its certificate is self-signed: add it to the file of tls\.caFile, or .* insecureTls/],
  ['expired', /its certificate has expired: renew it/],
  ['other-name', /its certificate is for another name \(.*elsewhere\.example.*\): use a name of the certificate/],
  ['unknown', /its certificate comes from an authority that is not known here.*: add it to the file of tls\.caFile/],
];

function makeCertificates(): Record<CertificateName, Certificate> & { readonly authority: Certificate } {
  const maker = new CertificateMaker(folder.path);
  const authority = maker.authority('authority');
  const names = 'IP:127.0.0.1,DNS:localhost';
  const valid = ['20200101000000Z', '20210101000000Z'] as const;
  return {
    authority,
    good: maker.certificate('good', { names, issuer: authority }),
    'self-signed': maker.certificate('self-signed', { names }),
    expired: maker.certificate('expired', { names, issuer: authority, valid }),
    'other-name': maker.certificate('other-name', { names: 'DNS:elsewhere.example', issuer: authority }),
    unknown: maker.certificate('unknown', { names, issuer: maker.authority('stranger') }),
  };
}

/** Serves the clip and a playlist that begins at `/list.m3u8`, over TLS. */
async function httpsServer({ cert, key }: Certificate): Promise<Server> {
  const server = createServer({ cert, key }, (request, response) => {
    const name = (request.url ?? '/').slice(1);
    if (name === 'clip.ts') return void response.end(readFileSync(clip));
    if (!readdirSync(hls).includes(name)) return void response.writeHead(404).end();
    response.end(readFileSync(join(hls, name)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server | TcpServer): number {
  return (server.address() as AddressInfo).port;
}

describe.skipIf(!hasOpenssl)('certificates (needs openssl)', () => {
  let certificates: ReturnType<typeof makeCertificates>;
  const servers = new Map<CertificateName, Server>();
  const urlOf = (name: CertificateName, path = '/clip.ts', host = '127.0.0.1'): string =>
    `https://${host}:${portOf(servers.get(name)!)}${path}`;

  beforeAll(async () => {
    certificates = makeCertificates();
    const source = ['-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=10', '-frames:v', String(FRAMES), '-g', '5'];
    const run = promisify(execFile);
    await run(testFfmpeg.path, ['-v', 'error', ...source, '-c:v', 'mpeg2video', '-f', 'mpegts', clip]);
    mkdirSync(hls);
    await run(testFfmpeg.path, [
      ...['-v', 'error', '-i', clip, '-c', 'copy', '-f', 'hls', '-hls_time', '0.5', '-hls_list_size', '0'],
      join(hls, 'list.m3u8'),
    ]);
    for (const name of ['good', 'self-signed', 'expired', 'other-name', 'unknown'] as const)
      servers.set(name, await httpsServer(certificates[name]));
    const list = readFileSync(join(hls, 'list.m3u8'), 'utf8');
    writeFileSync(join(hls, 'elsewhere.m3u8'), list.replaceAll(/^list/gm, urlOf('unknown', '/list')));
  });
  afterAll(() => {
    for (const server of servers.values()) server.close();
  });

  describe.each(ffmpegs)('of https, $label', ({ binary }) => {
    let host: RuledHost;
    beforeAll(async () => {
      const tls = { caFile: certificates.authority.certPath };
      host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, tls });
    });
    afterAll(() => host.close());

    it.each([
      ['a file', '/clip.ts'],
      ['a playlist', '/list.m3u8'],
    ])('from the configured authority are trusted: %s', async (_, path) => {
      for (const name of ['127.0.0.1', 'localhost'])
        expect(await host.play(urlOf('good', path, name))).toMatchObject({ frames: FRAMES, error: '', warnings: [] });
    });

    it.each(COMPLAINTS)('that are not trusted are refused, with the reason: %s', async (name, complaint) => {
      const { frames, error } = await host.play(urlOf(name, '/clip.ts', 'localhost'));
      expect(frames).toBe(0);
      expect(error).toMatch(/^SOURCE_UNTRUSTED https:\/\/localhost/);
      expect(error).toMatch(complaint);
    });

    it('are verified for segments on another server', async () => {
      const { frames, error } = await host.play(urlOf('good', '/elsewhere.m3u8'));
      expect(frames).toBe(0);
      expect(error).toMatch(/^SOURCE_UNTRUSTED .*not known here/);
    });

    it('are not verified with insecureTls, which a warning and the status say', async () => {
      const { frames, error, report, warnings } = await host.play(urlOf('self-signed'), { insecureTls: true });
      expect({ frames, error }).toEqual({ frames: FRAMES, error: '' });
      expect(report?.insecureTls).toBe(true);
      expect(warnings.join()).toContain('certificates are not verified (insecureTls)');
    });
  });

  it('of the usual authorities only are trusted without settings', async () => {
    const host = await RuledHost.open({ ffmpegPath: testFfmpeg.path, cacheDir: folder.path });
    expect((await host.play(urlOf('good'))).error).toMatch(/^SOURCE_UNTRUSTED .*not known here/);
    await host.close();
  });

  it('that cannot be read stop the pipeline at the start', async () => {
    const open = (caFile: string): Promise<RuledHost> =>
      RuledHost.open({ ffmpegPath: testFfmpeg.path, cacheDir: folder.path, tls: { caFile } });
    await expect(open(clip)).rejects.toThrow(/tls\.caFile: .*expected certificates in PEM form/);
    await expect(open(join(folder.path, 'none.pem'))).rejects.toThrow(/tls\.caFile: .*no such file/);
  });

  it('are verified by detect, which takes an authority and an exception', async () => {
    const detect = async (...flags: string[]): Promise<{ code: number | null; stderr: string }> =>
      cli(['detect', urlOf('good'), '--engine', 'fake', ...flags], { FFMPEG_PATH: testFfmpeg.path });
    const refused = await detect();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('SOURCE_UNTRUSTED');
    expect((await detect('--ca', certificates.authority.certPath)).code).toBe(0);
    const insecure = await detect('--insecure-tls');
    expect(insecure.code).toBe(0);
    expect(insecure.stderr).toContain('certificates are not verified');
  });

  describe.skipIf(rtspScript.path === null)(`of rtsps (${rtspScript.reason || 'needs GStreamer'})`, () => {
    const videos = new VideoFolder();
    const tunnels = new Map<CertificateName, TcpServer>();
    let camera: RtspServer;
    beforeAll(async () => {
      camera = await RtspServer.open(await videos.make('camera.mp4', { frames: 100 }));
      const port = Number(new URL(camera.url.replace('rtsp:', 'http:')).port);
      for (const name of ['good', 'self-signed'] as const) {
        const { cert, key } = certificates[name];
        const tunnel = createTlsServer({ cert, key }, (socket) => {
          const inner = connect(port, '127.0.0.1');
          socket.on('error', () => inner.destroy()).pipe(inner);
          inner.on('error', () => socket.destroy()).pipe(socket);
        });
        tunnel.listen(0, '127.0.0.1');
        await once(tunnel, 'listening');
        tunnels.set(name, tunnel);
      }
    });
    afterAll(async () => {
      for (const tunnel of tunnels.values()) tunnel.close();
      await camera?.stop();
      videos.remove();
    });

    it.each(ffmpegs)('are verified, $label', async ({ binary }) => {
      const cameraAt = (name: CertificateName): string => `rtsps://127.0.0.1:${portOf(tunnels.get(name)!)}/cam`;
      const fleet = { schemes: ['rtsps'], networks: ['127.0.0.0/8'] };
      const tls = { caFile: certificates.authority.certPath };
      const host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, fleet, tls });
      expect(await host.watch(cameraAt('good'), 10)).toMatchObject({ error: '', warnings: [] });
      const refused = await host.watch(cameraAt('self-signed'), 1);
      expect(refused).toMatchObject({ frames: 0, state: 'reconnecting' });
      expect(refused.error).toMatch(/its certificate is self-signed/);
      const accepted = await host.watch(cameraAt('self-signed'), 10, { insecureTls: true });
      expect(accepted).toMatchObject({ error: '', report: { insecureTls: true } });
      await host.close();
    });

    it.each(ffmpegs)('are not needed in limited networks, $label', async ({ binary }) => {
      const fleet = { schemes: ['rtsp'], networks: ['127.0.0.0/8'] };
      const host = await RuledHost.open({ ffmpegPath: binary.path, cacheDir: folder.path, fleet });
      expect(await host.watch(camera.url, 10)).toMatchObject({ error: '', warnings: [] });
      await host.close();
    });
  });
});
