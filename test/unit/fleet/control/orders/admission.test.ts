import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Admission, type AdmissionRules } from '../../../../../src/fleet/control/orders/admission.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-admission-')));
afterAll(() => rmSync(folder, { recursive: true }));
const root = join(folder, 'media');
const outside = join(folder, 'private');
for (const path of [root, outside, join(root, 'sub'), join(folder, 'media-two')]) mkdirSync(path);
for (const path of [join(root, 'a.mp4'), join(outside, 'secret.mp4'), join(folder, 'media-two', 'b.mp4')])
  writeFileSync(path, '');
symlinkSync(join(root, 'a.mp4'), join(root, 'inner.mp4'));
symlinkSync(join(outside, 'secret.mp4'), join(root, 'escape.mp4'));
symlinkSync(outside, join(root, 'way-out'));
symlinkSync(join(outside, 'not-yet'), join(root, 'dangling'));
symlinkSync(join(root, 'circle'), join(root, 'circle'));
symlinkSync(root, join(folder, 'alias'));

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  'cam.lan': ['10.0.0.7'],
  'both.lan': ['10.0.0.7', '192.168.1.9'],
  'six.lan': ['fd00::7'],
  'mapped.lan': ['::ffff:192.168.1.9'],
};
const lookup = async (host: string): Promise<readonly string[]> => {
  const known = ADDRESSES[host] ?? (/^[\d.]+$|:/.test(host) ? [host] : undefined);
  if (known === undefined) throw new Error(`no address of ${host}`);
  return known;
};

function admission(rules: Partial<AdmissionRules> = {}): Admission {
  const all: AdmissionRules = {
    roots: [root],
    schemes: ['rtsp', 'http', 'file'],
    networks: ['10.0.0.0/8', 'fd00::/8'],
    ...rules,
  };
  return new Admission(all, lookup);
}

const forbidden = (message: RegExp) => ({ code: 'SOURCE_FORBIDDEN', message: expect.stringMatching(message) });

describe('a file', () => {
  it('below a root is admitted, and its real path returned', async () => {
    expect(await admission().file(join(root, 'a.mp4'))).toBe(join(root, 'a.mp4'));
    expect(await admission().file(join(root, 'inner.mp4'))).toBe(join(root, 'a.mp4'));
  });

  it('is admitted below a root that is a link, and by a link to the root', async () => {
    expect(await admission({ roots: [join(folder, 'alias')] }).file(join(root, 'a.mp4'))).toBe(join(root, 'a.mp4'));
    expect(await admission().file(join(folder, 'alias', 'a.mp4'))).toBe(join(root, 'a.mp4'));
  });

  it.each([
    ['elsewhere', join(outside, 'secret.mp4')],
    ['in a folder whose name starts with that of a root', join(folder, 'media-two', 'b.mp4')],
    ['by ".."', `${root}/sub/../../private/secret.mp4`],
    ['by ".." even inside the root, because of links', `${root}/sub/../a.mp4`],
    ['by a link to a file', join(root, 'escape.mp4')],
    ['by a link to a folder', join(root, 'way-out', 'secret.mp4')],
    ['by a dangling link', join(root, 'dangling')],
    ['by a circular link', join(root, 'circle')],
    ['that is missing, outside the roots', join(outside, 'absent.mp4')],
    ['by a relative path', 'media/a.mp4'],
    ['with a zero byte', `${root}/a.mp4\0.txt`],
  ])('%s is refused with the allowed roots', async (_, path) => {
    await expect(admission().file(path)).rejects.toMatchObject(forbidden(/allowed are files below .*media/));
  });

  it('is refused if no root is set', async () => {
    await expect(admission({ roots: [] }).file(join(root, 'a.mp4'))).rejects.toMatchObject(
      forbidden(/allowed are files below no folder \(fleet\.roots\)/),
    );
  });

  it('missing below a root is not found', async () => {
    for (const path of [join(root, 'absent.mp4'), join(root, 'a.mp4', 'deeper')])
      await expect(admission().file(path)).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
  });

  it('that is a folder or a pipe is refused', async () => {
    const pipe = join(root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [join(root, 'sub'), pipe])
      await expect(admission().file(path)).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
  });
});

describe('an output folder', () => {
  it('may not exist yet', async () => {
    expect(await admission().outDir(join(root, 'new', 'deeper'))).toBe(join(root, 'new', 'deeper'));
    expect(await admission().outDir(root)).toBe(root);
    expect(await admission().outDir(join(folder, 'alias', 'new'))).toBe(join(root, 'new'));
  });

  it.each([
    ['elsewhere', join(outside, 'new')],
    ['behind a link', join(root, 'way-out', 'new')],
    ['behind a dangling link', join(root, 'dangling', 'new')],
    ['by ".." after a missing folder', `${root}/new/../../private`],
  ])('%s is refused', async (_, path) => {
    await expect(admission().outDir(path)).rejects.toMatchObject(forbidden(/allowed are files below/));
  });
});

describe('the source of a stream', () => {
  it.each([
    'rtsp://cam.lan/1',
    'rtsp://user:pass@cam.lan:8554/1',
    'http://10.1.2.3/a.mp4',
    'http://six.lan/a.mp4',
    'http://[fd00::9]:8080/a',
    `file://${join(root, 'a.mp4')}`,
    join(root, 'a.mp4'),
  ])('%s is admitted', async (source) => {
    await admission().source(source);
  });

  it.each([
    ['https://cam.lan/a', /"https" are not allowed; allowed are rtsp, http, file \(fleet\.schemes\)/],
    ['device:/dev/video0', /"device" are not allowed/],
    ['synthetic:movie=/etc/passwd', /"synthetic" are not allowed/],
    ['demo', /"demo" are not allowed/],
    ['rtsp://192.168.1.9/1', /leads to 192\.168\.1\.9; allowed are the networks 10\.0\.0\.0\/8, fd00::\/8/],
    ['http://both.lan/a', /leads to 192\.168\.1\.9/],
    ['http://mapped.lan/a', /leads to ::ffff:192\.168\.1\.9/],
    ['http://[::ffff:192.168.1.9]/a', /leads to/],
    ['http://127.0.0.1:6379/', /leads to 127\.0\.0\.1/],
    ['http://0x7f.1/', /leads to 127\.0\.0\.1/],
    ['http://cam.lan\\@192.168.1.9/', /percent-encode/],
    ['http://cam.lan/ http://x', /percent-encode/],
    [`file://${join(outside, 'secret.mp4')}`, /allowed are files below/],
    ['concat:/etc/passwd', /allowed are files below/],
  ])('%s is refused', async (source, message) => {
    const result = admission({ networks: ['10.0.0.0/8', 'fd00::/8'] }).source(source);
    // A host that does not resolve as ffmpeg reads it is refused too.
    await expect(result).rejects.toMatchObject(
      source.includes('0x7f')
        ? { code: expect.stringMatching(/SOURCE_(?:FORBIDDEN|UNREACHABLE)/) }
        : forbidden(message),
    );
  });

  it.each(['rtmp://192.168.1.9/live/key', 'rtmps://both.lan/live/key', 'srt://192.168.1.9:9000?streamid=a'])(
    'is bound by the networks whatever brings it: %s',
    async (source) => {
      const refused = admission({ schemes: ['rtmp', 'rtmps', 'srt'] }).source(source);
      await expect(refused).rejects.toMatchObject(forbidden(/leads to 192\.168\.1\.9/));
    },
  );

  it('whose host has no address is SOURCE_UNREACHABLE', async () => {
    await expect(admission().source('rtsp://absent.lan/1')).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
  });

  it('is admitted without a lookup if all networks are allowed', async () => {
    await admission({ networks: ['0.0.0.0/0', '::/0'] }).source('rtsp://absent.lan/1');
  });

  it('is never printed with its password', async () => {
    for (const source of ['rtsp://user:hunter2@192.168.1.9/1', 'https://user:hunter2@cam.lan/1?token=hunter2']) {
      const error = (await admission()
        .source(source)
        .catch((thrown: unknown) => thrown)) as Error;
      expect(error).toBeInstanceOf(Error);
      expect(`${error.message}${JSON.stringify(error)}`).not.toContain('hunter2');
    }
  });
});

describe('a list of networks', () => {
  it.each(['10.0.0.0/33', '10.0.0/8', 'fd00::/129', 'localhost', '10.0.0.0/', '10.0.0.0/8/8', ''])(
    '"%s" is CONFIG_INVALID',
    (network) => {
      expect(() => admission({ networks: ['10.0.0.0/8', network] })).toThrowError(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('fleet.networks[1]') }),
      );
    },
  );

  it('may contain single addresses', async () => {
    await admission({ networks: ['192.168.1.9'] }).source('rtsp://192.168.1.9/1');
    await expect(admission({ networks: ['192.168.1.9'] }).source('rtsp://192.168.1.8/1')).rejects.toMatchObject(
      forbidden(/leads to/),
    );
  });
});
