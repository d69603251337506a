import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expandInputs } from '../../../../src/frame/source/expand-inputs.ts';

/** Creates a folder with these files. */
function folder(...names: string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'sightline-inputs-'));
  for (const name of names) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), '');
  }
  return root;
}

describe('expandInputs', () => {
  it('lists only the videos of a folder, at any depth, sorted by name', async () => {
    const root = folder('b.mp4', 'a.MKV', 'notes.txt', 'deep/er/c.webm', 'picture.jpg');
    expect(await expandInputs([root])).toEqual(['a.MKV', 'b.mp4', 'deep/er/c.webm'].map((name) => join(root, name)));
  });

  it('accepts a file given by name, whatever its extension', async () => {
    const root = folder('notes.txt', 'odd [1].mp4');
    const files = [join(root, 'notes.txt'), join(root, 'odd [1].mp4')];
    expect(await expandInputs(files)).toEqual(files);
  });

  it('expands a pattern to sorted paths, relative to the working directory', async () => {
    const root = folder('b2.mp4', 'b1.mp4', 'a.mp4');
    expect(await expandInputs([`${root}/b*.mp4`])).toEqual([join(root, 'b1.mp4'), join(root, 'b2.mp4')]);
  });

  it('keeps the order of the inputs', async () => {
    const root = folder('z.mp4', 'sub/a.mp4');
    expect(await expandInputs([join(root, 'z.mp4'), join(root, 'sub'), 'rtsp://cam/x'])).toEqual([
      join(root, 'z.mp4'),
      join(root, 'sub/a.mp4'),
      'rtsp://cam/x',
    ]);
  });

  it('passes through anything with a scheme, even with brackets and question marks, and missing files', async () => {
    const inputs = ['https://cdn/live.m3u8?x=[1]', 'synthetic:testsrc2=size=64x48', '/nowhere/a.mp4'];
    expect(await expandInputs(inputs)).toEqual(inputs);
  });

  it('never gives a link to a pipe or a device, which could be read for ever', async () => {
    const root = folder('a.mp4');
    execFileSync('mkfifo', [join(root, 'pipe')]);
    symlinkSync(join(root, 'pipe'), join(root, 'b.mp4'));
    symlinkSync('/dev/zero', join(root, 'c.jpg'));
    for (const input of [root, `${root}/*.{mp4,jpg}`]) {
      const left: string[] = [];
      const onLeftOut = (path: string, why?: string): number => left.push(`${relative(root, path)}: ${why}`);
      expect(await expandInputs([input], { pictures: true, onLeftOut })).toEqual([join(root, 'a.mp4')]);
      expect(left).toEqual(expect.arrayContaining(['b.mp4: a pipe', 'c.jpg: a device']));
    }
    expect(await expandInputs([root]), 'also where nobody listens').toEqual([join(root, 'a.mp4')]);
  });

  it('takes pictures if they are wanted, in one order with the videos, and names what it leaves out', async () => {
    const root = folder('b.JPG', 'a.png', 'deep/c.mp4', 'notes.txt', 'deep/list');
    const skipped: string[] = [];
    const options = { pictures: true, onLeftOut: (path: string) => skipped.push(path) };
    expect(await expandInputs([root], options)).toEqual(
      ['a.png', 'b.JPG', 'deep/c.mp4'].map((name) => join(root, name)),
    );
    expect(skipped).toEqual(['deep/list', 'notes.txt'].map((name) => join(root, name)));
    expect(await expandInputs([root]), 'as jobs do').toEqual([join(root, 'deep/c.mp4')]);
  });

  it('names what is no file, with the reason, and reads links to files', async () => {
    const root = folder('a.mp4', 'deep/b.mp4');
    symlinkSync(join(root, 'gone.mp4'), join(root, 'dangling.mp4'));
    symlinkSync(join(root, 'a.mp4'), join(root, 'link.mp4'));
    execFileSync('mkfifo', [join(root, 'deep/pipe.mp4')]);
    const server = createServer().listen(join(root, 'socket.mp4'));
    await once(server, 'listening');
    const leftOut: [string, string | undefined][] = [];
    const found = await expandInputs([root], { onLeftOut: (path, why) => leftOut.push([relative(root, path), why]) });
    server.close();
    expect(found).toEqual(['a.mp4', 'deep/b.mp4', 'link.mp4'].map((name) => join(root, name)));
    expect(leftOut).toEqual([
      ['dangling.mp4', 'a link that leads nowhere'],
      ['deep/pipe.mp4', 'a pipe'],
      ['socket.mp4', 'a socket'],
    ]);
  });

  it('rejects a folder without a video and a pattern without a match', async () => {
    const root = folder('notes.txt');
    await expect(expandInputs([root])).rejects.toMatchObject({
      code: 'SOURCE_EMPTY',
      message: expect.stringContaining(
        `${root}: no video in this folder (looked for mp4, m4v, mov, mkv, webm, avi and 15 more endings)`,
      ),
    });
    await expect(expandInputs([`${root}/*.mp4`])).rejects.toMatchObject({
      code: 'SOURCE_EMPTY',
      message: `${root}/*.mp4: no file matches this pattern`,
    });
  });
});
