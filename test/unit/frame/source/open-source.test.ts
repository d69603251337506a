import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FREE_ACCESS, type SourceAccess } from '../../../../src/base/core/source.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { openSource, withOpenSource } from '../../../../src/frame/source/open/open-source.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-open-')));
afterAll(() => rmSync(folder, { recursive: true }));
const root = join(folder, 'root');
mkdirSync(root);
const [inside, outside] = [join(root, 'a.mp4'), join(folder, 'b.mp4')];
for (const path of [inside, outside]) writeFileSync(path, '');
symlinkSync(inside, join(root, 'link-inside.mp4'));
symlinkSync(outside, join(root, 'link-outside.mp4'));

const sourceOf = (text: string, access?: Partial<SourceAccess>) =>
  parseSource(text, {
    loop: false,
    realtime: false,
    rtspTransport: 'tcp',
    readTimeoutMs: 5000,
    ...(access === undefined ? {} : { access: { ...FREE_ACCESS, ...access } }),
  });
const openedUrl = async (text: string, access?: Partial<SourceAccess>): Promise<string> =>
  (await openSource(sourceOf(text, access))).source.url;

describe('a local file', () => {
  it('is opened by the path that was checked: its links may change', async () => {
    const roots = [root];
    expect(await openedUrl(inside, { roots })).toBe(`file:${inside}`);
    expect(await openedUrl(join(root, 'link-inside.mp4'), { roots })).toBe(`file:${inside}`);
    expect(await openedUrl(join(root, 'link-outside.mp4')), 'anywhere').toBe(`file:${join(root, 'link-outside.mp4')}`);
  });

  it('is refused if it is, or leads, outside of the folders', async () => {
    for (const path of [outside, join(root, 'link-outside.mp4')])
      await expect(openedUrl(path, { roots: [root] })).rejects.toMatchObject({
        code: 'SOURCE_FORBIDDEN',
        message: `${path}: allowed are files below ${root} (fleet.roots)`,
      });
    await expect(openedUrl(inside, { roots: [] })).rejects.toThrow(/allowed are files below no folder/);
  });

  it('may be gone since it was named', async () => {
    const path = join(root, 'gone.mp4');
    writeFileSync(path, '');
    const source = sourceOf(path, { roots: [root] });
    rmSync(path);
    await expect(openSource(source)).rejects.toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      message: `${path}: no such file`,
    });
  });
});

describe('an SRT server', () => {
  it('is opened by the address that was checked: its name may lead elsewhere next time', async () => {
    const networks = ['127.0.0.0/8', '::1/128'];
    expect(await openedUrl('SRT://localhost:9000?streamid=a', { networks })).toMatch(
      /^srt:\/\/(127\.0\.0\.1|\[::1\]):9000\?streamid=a$/,
    );
    expect(await openedUrl('srt://[::1]:9000?latency=20', { networks })).toBe('srt://[::1]:9000?latency=20');
  });

  it('is refused outside of the networks, without its secrets', async () => {
    await expect(openedUrl('srt://127.0.0.1:9000?passphrase=hush', { networks: ['10.0.0.0/8'] })).rejects.toMatchObject(
      {
        code: 'SOURCE_FORBIDDEN',
        message: expect.stringMatching(
          /^srt:\/\/127\.0\.0\.1:9000\?passphrase=\*\*\*: it leads to 127\.0\.0\.1; allowed/,
        ),
      },
    );
  });
});

describe('withOpenSource', () => {
  it('says what the source knows about a failure, else what failed', async () => {
    const fails = (text: string) =>
      withOpenSource(sourceOf(text, { networks: ['10.0.0.0/8'] }), async ({ proxyUrl, url }) => {
        // The proxy refuses an address outside of the networks.
        if (proxyUrl !== undefined)
          await once(get({ host: '127.0.0.1', port: new URL(proxyUrl).port, path: url, agent: false }), 'response');
        throw new SightlineError('SOURCE_UNREADABLE', 'ffmpeg ended');
      });
    await expect(fails('http://127.0.0.1:1/a.ts')).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    await expect(fails(inside)).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE', message: 'ffmpeg ended' });
  });

  it('closes the source at its end', async () => {
    const proxyUrl = await withOpenSource(sourceOf('http://127.0.0.1:1/a.ts'), async (opened) => opened.proxyUrl!);
    await expect(fetch(proxyUrl)).rejects.toThrow();
  });
});
