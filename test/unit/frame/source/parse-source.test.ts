import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SourceOptions } from '../../../../src/base/core/source.ts';
import { parseSource, sourceScheme } from '../../../../src/frame/source/parse-source.ts';

const OPTIONS: SourceOptions = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 };
const folder = mkdtempSync(join(tmpdir(), 'sightline-source-'));
const clip = join(folder, 'a clip.mp4');
const odd = join(folder, 'a:b.mp4');
writeFileSync(clip, '');
writeFileSync(odd, '');

function refusal(text: string): { code: string; message: string } {
  try {
    parseSource(text, OPTIONS);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error(`${text} was accepted`);
}

describe('a source on the network', () => {
  it.each([
    ['rtsp://cam/live', 'rtsp', true, { host: 'cam', port: 554 }],
    ['rtsps://cam/live', 'rtsp', true, { host: 'cam', port: 322 }],
    ['RTSP://cam:8554/live', 'rtsp', true, { host: 'cam', port: 8554 }],
    ['rtsp://[2001:db8::1]:8554/live', 'rtsp', true, { host: '2001:db8::1', port: 8554 }],
    ['https://cdn/live.m3u8?channel=1', 'http', true, { host: 'cdn', port: 443 }],
    ['http://server/a.mp4', 'http', false, { host: 'server', port: 80 }],
    ['http://server:8080/a.mp4', 'http', false, { host: 'server', port: 8080 }],
  ] as const)('%s', (url, kind, isLive, probeAddress) => {
    expect(parseSource(url, OPTIONS)).toEqual({ kind, url, label: url, isLive, probeAddress, options: OPTIONS });
  });

  it('keeps its credentials for ffmpeg and hides them in the label', () => {
    const { url, label } = parseSource('rtsp://user:pass@cam/live', OPTIONS);
    expect([url, label]).toEqual(['rtsp://user:pass@cam/live', 'rtsp://***@cam/live']);
  });

  it('is live if it plays a file in real time', () => {
    expect(parseSource('http://server/a.mp4', { ...OPTIONS, realtime: true }).isLive).toBe(true);
  });

  it.each(['http://', 'https://:80/x', 'rtsp://', 'rtsp:cam', 'rtsp://user:pa/ss@cam/live', 'http://a:b:c/'])(
    '%s is rejected as not a URL',
    (text) => {
      const { code, message } = refusal(text);
      expect(code).toBe('CONFIG_INVALID');
      expect(message).toMatch(/^source ".*": expected a URL such as (rtsp|https):\/\//);
      expect(message).not.toContain('pa/ss');
    },
  );
});

describe('a source on this machine', () => {
  it('a file is read once to its end; looped or in real time it is live', () => {
    expect(parseSource(clip, OPTIONS)).toEqual({
      kind: 'file',
      url: `file:${clip}`,
      label: clip,
      isLive: false,
      probeAddress: null,
      options: OPTIONS,
    });
    expect(parseSource(clip, { ...OPTIONS, loop: true }).isLive).toBe(true);
    expect(parseSource(clip, { ...OPTIONS, realtime: true }).isLive).toBe(true);
  });

  it('a file URL gives the path, including spaces', () => {
    expect(parseSource(`file://${clip.replace(' ', '%20')}`, OPTIONS).url).toBe(`file:${clip}`);
  });

  it('a file whose name looks like a scheme is still a file', () => {
    expect(parseSource(odd, OPTIONS).url).toBe(`file:${odd}`);
  });

  it("ffmpeg's test picture is a source without a file", () => {
    expect(parseSource('synthetic:testsrc2=size=64x48:rate=5', OPTIONS)).toMatchObject({
      kind: 'synthetic',
      url: 'testsrc2=size=64x48:rate=5',
      isLive: false,
    });
  });

  it.skipIf(process.platform !== 'linux')('a device is live (Linux only: others name devices by number)', () => {
    expect(parseSource('device:/dev/null', OPTIONS)).toMatchObject({
      kind: 'device',
      url: '/dev/null',
      label: 'device:/dev/null',
      isLive: true,
    });
    expect(refusal('device:/dev/video99')).toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    expect(refusal('device:').message).toContain('expected an existing device such as /dev/video0');
  });

  it.each([
    ['/nowhere/a.mp4', 'SOURCE_NOT_FOUND', '/nowhere/a.mp4: no such file'],
    [
      'udp://u:secret@h/x',
      'CONFIG_INVALID',
      'source "udp://***@h/x": "udp://" is not a kind of source; known are rtsp: rtsps: http: https: rtmp: rtmps: srt: device: synthetic:',
    ],
    [
      'rstp:a.mp4',
      'SOURCE_NOT_FOUND',
      'rstp:a.mp4: no such file ("rstp:" is not a kind of source; known are rtsp: rtsps: http: https: rtmp: rtmps: srt: device: synthetic:)',
    ],
    [folder, 'CONFIG_INVALID', `${folder}: is a folder; a stream reads one file (commands take folders and patterns)`],
    ['file:///a%zz.mp4', 'CONFIG_INVALID', 'source "file:///a%zz.mp4": expected a URL such as file:///videos/a.mp4'],
  ])('%s is rejected', (text, code, message) => {
    expect(refusal(text)).toMatchObject({ code, message });
  });

  it.each([
    ['rstp', 'rtsp'],
    ['RTPS', 'rtsp'],
    ['rtspp', 'rtsp'],
    ['htpp', 'http'],
    ['htttp', 'http'],
    ['hxxp', 'http'],
    ['htps', 'https'],
    ['httpss', 'https'],
  ])('%s:// is a mistake in typing %s://, and no file', (typed, meant) => {
    expect(refusal(`${typed}://u:secret@h/x`)).toMatchObject({
      code: 'CONFIG_INVALID',
      message: `source "${typed}://***@h/x": "${typed.toLowerCase()}://" is not a kind of source; did you mean ${meant}://?`,
    });
  });

  it.each(['ftp', 'mms', 'udp', 's3', 'gopher'])('%s:// is a protocol of its own, so nothing is guessed', (scheme) => {
    expect(refusal(`${scheme}://h/x`).message).toContain('; known are rtsp: rtsps:');
  });

  it('RTMP and SRT are live, and hide keys, stream ids and passphrases', () => {
    expect(parseSource('rtmps://live.example/app/abcd-1234', OPTIONS)).toMatchObject({
      kind: 'rtmp',
      isLive: true,
      label: 'rtmps://live.example/app/***',
      probeAddress: null,
    });
    expect(
      parseSource('srt://[::1]:9000?mode=caller&streamid=#!::r=a,u=b&passphrase=hush&latency=200000', OPTIONS),
    ).toMatchObject({ kind: 'srt', isLive: true, probeAddress: null, label: expect.not.stringMatching(/hush|u=b/) });
  });

  it.each([
    ['srt://camera', 'expected a port, as in srt://server:9000'],
    ['srt://:9000', 'expected a URL such as srt://server:9000'],
    ['srt://0.0.0.0:9000?mode=listener', 'expected mode=caller: this end connects'],
    ['srt://camera:9000?mode=rendezvous&streamid=a', 'expected mode=caller'],
    [
      'srt://camera:9000?localport=22',
      'expected options among mode, streamid, passphrase, pbkeylen, latency, received "localport"',
    ],
    ['srt://camera:9000?streamid=a?adapter=10.0.0.1&localaddr=b', 'received "localaddr"'],
  ])('%s is refused: SRT only calls', (text, message) => {
    expect(refusal(text)).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) });
  });

  it('an empty generator is rejected with an example', () => {
    expect(refusal('synthetic:')).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('as in synthetic:testsrc2=size=1280x720:rate=30'),
    });
  });
});

describe('the scheme of a source', () => {
  it.each([
    ['RTSPS://cam/live', 'rtsps'],
    ['device:/dev/video0', 'device'],
    ['synthetic:testsrc2', 'synthetic'],
    ['ftp://server/a.mp4', 'file'],
    ['a:b.mp4', 'file'],
    ['/videos/rtsp:a.mp4', 'file'],
    ['a.mp4', 'file'],
  ])('of %s is %s', (text, scheme) => expect(sourceScheme(text)).toBe(scheme));
});
