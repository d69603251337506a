import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Archive, boxesPath, picturePath } from '../../src/after/recording/archive.ts';
import { hostKey } from '../../src/after/recording/export-span.ts';
import { playlistOf, recordingsIn } from '../../src/after/recording/spans.ts';
import { makePipe } from '../support/made-pipe.ts';
import { openGateway } from '../support/open-gateways.ts';
import { EVENT, event, play, RULES, recorderRig } from '../support/recorder-rig.ts';
import { RuntimeDouble } from '../support/runtime-double.ts';
import { waitFor } from '../support/wait-for.ts';

/** As another user's file that a link leads to. */
const SECRET = 'root:x:0:0:secret';
const rig = recorderRig();

let folder: string;
let secret: string;
let url: string;
/** Of the clip, and of the recording. */
let clip: string;
let archive: Archive;
let video: string;

beforeEach(async () => {
  const { recorder, ...made } = rig.recorderOf({ events: RULES, record: 'continuous' });
  folder = made.folder;
  secret = join(mkdtempSync(join(rig.root, 'other-')), 'passwd');
  writeFileSync(secret, SECRET);
  const camera = rig.camera();
  recorder.onPackets(camera.open('start'));
  recorder.onEvent(event('new', play(recorder, camera, 8).endUs));
  const { endUs } = play(recorder, camera, 5);
  recorder.onEvent(event('end', endUs, { ended: { ptsUs: endUs } }));
  play(recorder, camera, 6);
  await recorder.onStopped('cam', false);
  archive = await recorder.archive();
  clip = archive.clipOf(EVENT)!.path;
  await waitFor('its picture', () => existsSync(picturePath(clip)));
  video = archive.files.find(({ kind }) => kind === 'continuous')!.path;
  url = (await openGateway(new RuntimeDouble(['cam']), { recorder })).url;
});

/** Everything that opens files of the folder, by the address that asks for it. */
const clipRoutes = ['clip.mp4', 'clip.json', 'snapshot.jpg', 'snapshot.jpg?boxes=1'].map(
  (name) => `/api/events/${EVENT}/${name}`,
);
const SPAN = 'stream=cam&from=0&to=9999999999999';
const HOURS = 'stream=cam&from=2026-01-31T00:00:00Z&to=2026-01-31T01:00:00Z';
const videoRoutes = (): string[] => {
  const name = basename(video);
  return [
    ...[`files/${name}?stream=cam`, `files/${name.split('-', 1)[0]}.mp4?stream=cam`],
    ...[`export.mp4?${SPAN}`, `playlist.m3u8?${HOURS}`],
  ].map((path) => `/api/recordings/${path}`);
};

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const reply = await fetch(url + path, { headers, method });
  const text = await reply.text();
  const code = /"code":"(\w+)"/.exec(text.slice(0, 300))?.[1];
  return { status: reply.status, headers: reply.headers, text, code };
}

const toLink = (path: string): void => {
  rmSync(path, { force: true });
  symlinkSync(secret, path);
};

describe('a file of the folder of recordings', () => {
  it('is sent while it is one: whole, in part, and its head', async () => {
    for (const path of [...clipRoutes, ...videoRoutes()]) expect((await ask(path)).status, path).toBe(200);
    const path = clipRoutes[0]!;
    const bytes = readFileSync(clip);
    const { headers } = await ask(path);
    const etag = headers.get('etag')!;
    const asked: [Record<string, string>, number, number][] = [
      [{}, 200, bytes.length],
      [{ range: 'bytes=100-299' }, 206, 200],
      [{ range: 'bytes=-100' }, 206, 100],
      [{ range: `bytes=${bytes.length - 7}-99999999` }, 206, 7],
      [{ range: 'bytes=0-1,5-6' }, 200, bytes.length],
      [{ range: 'bytes=100-299', 'if-range': etag }, 206, 200],
      [{ range: 'bytes=100-299', 'if-range': '"older"' }, 200, bytes.length],
    ];
    for (const [sent, status, length] of asked) {
      for (const method of ['GET', 'HEAD']) {
        const reply = await ask(path, sent, method);
        const what = `${method} ${JSON.stringify(sent)}`;
        expect([reply.status, reply.headers.get('content-length')], what).toEqual([status, String(length)]);
      }
    }
    for (const [name, value] of [
      ['if-none-match', `"a", W/${etag}`],
      ['if-modified-since', headers.get('last-modified')!],
    ] as const)
      expect((await ask(path, { [name]: value })).status, name).toBe(304);
  });

  it('that a link took the place of is not opened, and nothing behind it is sent', async () => {
    for (const path of [clip, video, picturePath(clip), picturePath(clip, true), boxesPath(clip)]) toLink(path);
    for (const path of [...clipRoutes, ...videoRoutes()]) {
      const reply = await ask(path);
      expect(reply.text, path).not.toContain(SECRET);
      expect([404, 422], path).toContain(reply.status);
      expect(reply.text, path).not.toContain(folder);
    }
    expect(await ask(clipRoutes[0]!)).toMatchObject({ status: 422, code: 'RECORDING_DAMAGED' });
  });

  it('is not sent to who asks for another stream, by a link between the two', async () => {
    const other = join(folder, 'other', basename(video));
    mkdirSync(dirname(other));
    copyFileSync(video, other);
    unlinkSync(video);
    symlinkSync(other, video);
    expect(await ask(videoRoutes()[0]!)).toMatchObject({ status: 422, code: 'RECORDING_DAMAGED' });
  });

  it('behind a folder that became a link is neither sent nor deleted, and nothing is written there', async () => {
    const away = join(dirname(secret), 'clips');
    renameSync(dirname(clip), away);
    symlinkSync(away, dirname(clip));
    expect(await ask(clipRoutes[0]!)).toMatchObject({ status: 422, code: 'RECORDING_DAMAGED' });
    expect((await Archive.read(folder)).files.map(({ kind }) => kind)).toEqual(['continuous']);
    await archive.remove({ path: clip });
    expect(existsSync(clip)).toBe(true);
    const begun = archive.begin({ stream: 'cam', kind: 'clip', event: 'ab', startMs: 1 });
    await expect(begun).rejects.toMatchObject({
      code: 'RECORDING_DAMAGED',
      message: expect.stringMatching(/found a link$/),
    });
    expect(readdirSync(away)).toContain(basename(clip));
  });

  it.skipIf(process.platform === 'win32')('that is a pipe, even all of them, holds nothing up', async () => {
    for (const path of [clip, video, picturePath(clip), picturePath(clip, true), boxesPath(clip)]) {
      rmSync(path, { force: true });
      makePipe(path);
    }
    const replies = await Promise.all([...clipRoutes, ...videoRoutes()].map((path) => ask(path)));
    for (const { status } of replies) expect([404, 422]).toContain(status);
    expect((await Archive.read(folder)).files).toEqual([]);
    const key = join(folder, '+host-key.pem');
    rmSync(key, { force: true });
    makePipe(key);
    await expect(hostKey(folder)).rejects.toMatchObject({ code: 'RECORDING_DAMAGED' });
  });

  it('that is not there any more is not found', async () => {
    for (const path of [clip, video, picturePath(clip), picturePath(clip, true)]) rmSync(path, { force: true });
    for (const path of [...clipRoutes, ...videoRoutes()])
      expect(await ask(path), path).toMatchObject({ status: 404, code: 'RECORDING_NOT_FOUND' });
  });

  it('that is cut off is damaged, and hides no other of a playlist', async () => {
    copyFileSync(video, join(dirname(video), '1769817900001-1769818000000-continuous.mp4'));
    for (const bytes of [700, 100, 0]) {
      truncateSync(clip, bytes);
      for (const path of clipRoutes.slice(0, 2))
        expect(await ask(path), `${path} of ${bytes}`).toMatchObject({ status: 422, code: 'RECORDING_DAMAGED' });
    }
    truncateSync(video, 700);
    const refused = await ask(videoRoutes()[0]!);
    expect(refused).toMatchObject({ status: 422, code: 'RECORDING_DAMAGED' });
    expect(JSON.parse(refused.text)).toEqual({
      error: {
        code: 'RECORDING_DAMAGED',
        message: expect.stringMatching(
          /^the recording of stream "cam" from \d{4}-\d\d-\d\dT[\d:.]+Z: it is no recording/,
        ),
        details: {},
      },
    });
    expect(await ask(`/api/recordings/playlist.m3u8?${HOURS}`)).toMatchObject({ status: 422 });
    const both = recordingsIn((await Archive.read(folder)).files, {});
    expect(both).toHaveLength(2);
    const addresses = new Set((await playlistOf(both, String)).split('\n').filter((line) => /^\d+$/.test(line)));
    expect([...addresses]).toEqual(['1769817900001']);
  });

  it('that a link was before anybody looked is none of the recordings', async () => {
    toLink(clip);
    symlinkSync(dirname(video), join(folder, 'copy'));
    const { files } = await Archive.read(folder);
    expect(files.map(({ stream, kind }) => `${stream} ${kind}`)).toEqual(['cam continuous']);
  });
});
