import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { mediaTypeOf, parseFragment } from '../../src/frame/decode/fragment-reader.ts';
import { sourceUs } from '../../src/frame/decode/packet-tap.ts';
import type { PacketFragment, PacketsOpened, StreamPackets } from '../../src/wire/protocol/packets.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { RtspServer, rtspScript } from '../support/rtsp-server.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = new VideoFolder();
afterAll(() => folder.remove());
let live: LiveRuntime;
afterEach(async () => expect(await live.close()).toEqual([]));

/** A runtime, with all that its stream `cam` gives. */
async function open() {
  live = await LiveRuntime.open();
  const packets: StreamPackets[] = [];
  const frames: number[] = [];
  live.runtime.packets.add((each) => void packets.push(each));
  live.runtime.published.add(({ ptsUs }) => void frames.push(ptsUs));
  return { packets, frames };
}

/** Media times of all packets, in the order in which they are shown. */
function timesOf(packets: readonly StreamPackets[]): number[] {
  const opened = new Map<string, PacketsOpened>();
  return packets
    .flatMap((each) => {
      if (each.type === 'packets-opened') {
        opened.set(each.connection, each);
        return [];
      }
      const { timescale, shiftUs } = opened.get(each.connection)!;
      const { ptsTicks } = parseFragment(each.bytes);
      expect(ptsTicks).toHaveLength(each.frames);
      return ptsTicks.map((ticks) => sourceUs(ticks, timescale) + shiftUs);
    })
    .toSorted((a, b) => a - b);
}

const fragmentsOf = (packets: readonly StreamPackets[]): PacketFragment[] =>
  packets.filter((each) => each.type === 'packets');

/** How many frames ffmpeg decodes of all fragments, one behind the other. */
function decodedFrames(packets: readonly StreamPackets[]): number {
  const input = Buffer.concat([(packets[0] as PacketsOpened).init, ...fragmentsOf(packets).map(({ bytes }) => bytes)]);
  const args = ['-hide_banner', '-loglevel', 'error', '-i', 'pipe:0', '-f', 'framecrc', 'pipe:1'];
  const text = execFileSync(testFfmpeg.path, args, { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  return text.split('\n').filter((line) => /^\d/.test(line)).length;
}

async function make(name: string, ...args: string[]): Promise<string> {
  const path = `${folder.path}/${name}`;
  execFileSync(testFfmpeg.path, [...['-hide_banner', '-loglevel', 'error', '-y'], ...args, path]);
  return path;
}

const picture = (rate: string, seconds: number): string[] => [
  '-f',
  'lavfi',
  '-i',
  `testsrc2=size=160x96:rate=${rate}:duration=${seconds}`,
];

const H265 = ['-c:v', 'libx265', '-x265-params', 'log-level=none:keyint=25', '-pix_fmt', 'yuv420p'] as const;

describe('the packets of a file', () => {
  const clips: [string, () => Promise<string>][] = [
    ['H.264 without B-frames', () => folder.make('plain.mp4', { frames: 120 })],
    ['H.264 with B-frames', () => folder.make('b.mp4', { frames: 120, bFrames: 3 })],
    ['MPEG-TS with B-frames', () => make('b.ts', ...picture('25', 4), '-c:v', 'libx264', '-bf', '2', '-g', '12')],
    ['Matroska, whose times are milliseconds', () => make('m.mkv', ...picture('30', 4), '-c:v', 'libx264', '-g', '30')],
    ['a rate of 30000/1001', () => make('ntsc.mp4', ...picture('30000/1001', 4), '-c:v', 'libx264', '-bf', '2')],
    [
      'a file that begins late',
      () => make('late.ts', ...picture('25', 4), '-c:v', 'libx264', '-output_ts_offset', '77'),
    ],
    ['AVI, whose clock has no whole seconds', () => make('n.avi', ...picture('30000/1001', 4), '-c:v', 'mpeg4')],
    [
      'times without a rate',
      () =>
        make(
          'vfr.mkv',
          ...picture('50', 8),
          '-vf',
          "select='not(mod(n,7))+not(mod(n,5))+not(mod(n,3))',setpts=PTS+mod(N*7\\,11)/1000/TB",
          '-fps_mode',
          'vfr',
          '-c:v',
          'libx264',
          '-bf',
          '2',
          '-g',
          '40',
        ),
    ],
    ['MPEG-4', () => make('m4.mp4', ...picture('25', 4), '-c:v', 'mpeg4', '-bf', '2')],
    ['H.265', () => make('h265.ts', ...picture('25', 4), ...H265)],
  ];
  it.each(clips)('are those of its frames, each with its media time: %s', async (_, clip) => {
    const { packets, frames } = await open();
    const stream = await live.add({ id: 'cam', source: await clip(), policy: 'file', record: 'continuous' });
    await stream.settled();
    expect(frames.length).toBeGreaterThan(90);
    expect(timesOf(packets)).toEqual(frames);
    expect(decodedFrames(packets)).toBe(frames.length);
    const fragments = fragmentsOf(packets);
    expect(fragments[0]!.isKey).toBe(true);
    for (const { startUs, endUs } of fragments) expect(endUs - startUs).toBeLessThan(1_500_000);
  });

  it('of H.265 have the name that players of Apple ask for, in MP4 too', async () => {
    for (const name of ['named.ts', 'named.mp4']) {
      const { packets } = await open();
      const source = await make(name, ...picture('25', 2), ...H265);
      await (await live.add({ id: 'cam', source, policy: 'file', record: 'continuous' })).settled();
      const { init, codec } = packets[0] as PacketsOpened;
      expect([codec, mediaTypeOf(init)]).toEqual(['hvc1', expect.stringMatching(/^video\/mp4; codecs="hvc1\.1\./)]);
      if (name === 'named.ts') await live.close();
    }
  });

  it.skipIf(sharedDir === null)(
    'are those of its frames for real clips (skipped without the shared folder)',
    async () => {
      for (const name of ['bikes', 'vtest_h264', 'car-detection']) {
        const { packets, frames } = await open();
        const source = `${sharedDir}/videos/${name}.mp4`;
        const stream = await live.add({ id: 'cam', source, policy: 'file', record: 'continuous' });
        await stream.settled();
        expect(frames.length, name).toBeGreaterThan(100);
        expect(timesOf(packets), name).toEqual(frames);
        if (name !== 'car-detection') await live.close();
      }
    },
    120_000,
  );

  it('are not read where nothing needs them', async () => {
    const { packets, frames } = await open();
    const stream = await live.add({ id: 'cam', source: await folder.make('no.mp4', { frames: 50 }), policy: 'file' });
    await stream.settled();
    expect([packets.length, frames.length]).toEqual([0, 50]);
  });

  it.each([
    ['VP8', 'v.webm', ['-c:v', 'libvpx', '-b:v', '200k']],
    ['raw video', 'raw.avi', ['-c:v', 'rawvideo', '-pix_fmt', 'yuv420p']],
  ])('are left out with a warning, and no frame is lost, where MP4 cannot hold them: %s', async (_, name, codec) => {
    const { packets, frames } = await open();
    const source = await make(name, ...picture('25', 3), ...codec);
    const stream = await live.add({ id: 'cam', source, policy: 'file', record: 'continuous' });
    await stream.settled();
    expect(stream.failure).toBeNull();
    expect([packets.length, frames.length]).toEqual([0, 75]);
    expect(stream.warnings.join()).toMatch(
      /its packets cannot be kept as MP4, so it has no clips, no recording, no live video and no restream/,
    );
  });

  it('are left out of a test picture, which has none', async () => {
    const { packets, frames } = await open();
    const source = 'synthetic:testsrc2=size=64x64:rate=20';
    const stream = await live.add({ id: 'cam', source, record: 'continuous' });
    await waitFor('a warning and frames', () => stream.warnings.length > 0 && frames.length > 10);
    expect(packets).toEqual([]);
    expect(stream.warnings).toHaveLength(1);
  });
});

if (rtspScript.path === null) console.warn(`packets of a camera are not tested: ${rtspScript.reason}`);
describe.skipIf(rtspScript.path === null)('the packets of a camera', () => {
  it('have the media times of its frames over connections, each of which is a gap', async () => {
    const camera = await RtspServer.open(await folder.make('camera.mp4', { frames: 2000, bFrames: 2 }));
    try {
      const { packets, frames } = await open();
      const settings = { source: camera.url, staleMs: 2000, maxAgeMs: 60_000, queueSize: 64, record: 'continuous' };
      const stream = await live.add({ id: 'cam', ...settings });
      for (const round of [1, 2]) {
        const before = fragmentsOf(packets).length;
        await waitFor('packets', () => fragmentsOf(packets).length > before + 3);
        await camera.stop();
        await live.reaches(stream, 'reconnecting');
        await camera.start();
        await waitFor(
          'another connection',
          () => packets.filter((each) => each.type === 'packets-opened').length > round,
        );
      }
      await waitFor('packets', () => fragmentsOf(packets).at(-1)!.endUs < frames.at(-1)!);
      await live.runtime.remove('cam');
      const openings = packets.filter((each) => each.type === 'packets-opened');
      expect(openings.map(({ gap }) => gap)).toEqual(['reopened', 'reconnect', 'reconnect']);
      const times = new Set(timesOf(packets));
      // The first frames of a connection may come in another order than they are shown in, and their times are made to rise.
      const strange = frames.filter((ptsUs) => !times.has(ptsUs));
      expect(strange.length).toBeLessThanOrEqual(2 * openings.length);
      expect(frames.length).toBeGreaterThan(100);
    } finally {
      await camera.stop();
    }
  }, 120_000);
});
