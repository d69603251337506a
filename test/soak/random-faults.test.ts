import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { StreamRules } from '../../src/fleet/control/orders/stream-rules.ts';
import { loadBeside } from '../../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import { estimateSlope } from '../../src/lab/measure/slope.ts';
import { HostStreams } from '../../src/serve/host/host-streams.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { previewConfig } from '../../src/settings/config/gateway.ts';
import { CutClips } from '../support/cut-clips.ts';
import { HttpVideoServer } from '../support/http-video-server.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc, isAlive, ownResources } from '../support/processes.ts';
import { CALM, randomPatch, UNSET } from '../support/random-patches.ts';
import { waitFor, within } from '../support/wait-for.ts';

/** Short by default; `npm run soak -- --minutes 30` sets it. */
const seconds = Number(process.env.SOAK_SECONDS ?? 20);

const FILE_FRAMES = 200;
const NO_ENVIRONMENT = {
  ffmpegPath: undefined,
  searchPath: '',
  modelPath: [],
  token: undefined,
  cacheDir: join(tmpdir(), 'sightline-no-cache'),
};
const CAMERAS = ['c0', 'c1', 'c2', 'c3'];
/** Its picture changes size twice in each round of its file. */
const RESIZED = 'resized';
const STREAMS = [...CAMERAS, RESIZED, 'web'];
const MODELS = ['default', 'same-input', 'other-input'];
/**
 * What may grow at most in an hour, surely: the lower end of the interval of the slope over the second half. Memory is printed only:
 * the test itself keeps the number of every published frame. `test/soak/endurance.test.ts` judges that of a process of its own.
 */
const BUDGETS: readonly [string, number, (of: ReturnType<typeof ownResources>) => number][] = [
  ['RSS in MiB', Number.POSITIVE_INFINITY, ({ rssBytes }) => rssBytes / 2 ** 20],
  ['descriptors', 1, ({ fileDescriptors }) => fileDescriptors],
  ['threads', 1, ({ threads }) => threads],
];
const LONG_S = 600;
/** Longer than `timeoutMs` of the engine and `staleMs` of the cameras. */
const SUSPENDED_S = 3;

describe.skipIf(!hasProc)(`random faults and changes for ${seconds} s (needs /proc)`, () => {
  const folder = new VideoFolder();
  const served = new VideoFolder();
  const clips = new CutClips();

  afterAll(() => {
    folder.remove();
    served.remove();
    clips.remove();
  });

  it(
    'end no stream, lose no frame uncounted, and leak no resource',
    async () => {
      const seed = Number(process.env.SOAK_SEED ?? Date.now() % 100_000);
      console.log(`soak of ${seconds} s, SOAK_SEED=${seed}`);
      const random = randomFrom(seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
      const video = await served.make('served.mp4', { frames: 100 });
      const http = new HttpVideoServer(video, video, served.path);
      await http.start();
      await folder.make('loop.mp4', { frames: 100 });
      await folder.make('file.mp4', { frames: FILE_FRAMES });
      const live = await LiveRuntime.open({ lanes: 2, threads: 2, frameMs: 3, timeoutMs: 2_000 });
      const loop = { source: `${folder.path}/loop.mp4`, loop: true, realtime: true, staleMs: 1_000 };
      await live.addAll(CAMERAS.map((id) => ({ id, ...loop })));
      await live.add({
        id: 'web',
        source: `${http.origin}/live.ts?m=${folder.marker}`,
        realtime: true,
        staleMs: 1_000,
      });
      await live.add({ ...loop, id: RESIZED, source: await clips.resized('resized.ts') });
      for (const [name, inputSize] of [
        ['same-input', '160x96'],
        ['other-input', '96x64'],
      ] as const)
        await loadFake(live.runtime, name, inputSize);
      const streams = new HostStreams({
        runtime: live.runtime,
        sinks: new ResultSinks([]),
        onNotice: () => undefined,
        config: { sinks: [], preview: previewConfig.parse({}) },
        environment: NO_ENVIRONMENT,
        sourceRules: { accessOf: () => FREE_ACCESS },
      });
      const rules = new StreamRules({ defaults: {}, admit: () => undefined });
      const patch = (id: string, change: object) => streams.change(id, (current) => rules.changed(current, change));
      await live.allFlow(STREAMS);

      let files = 0;
      let isOver = false;
      // A file is being read at all times; every frame of each file must be published once.
      const archive = (async () => {
        while (!isOver) {
          const id = `file${files++}`;
          const stream = await live.add({ id, source: `${folder.path}/file.mp4` });
          await within(id, 60_000, stream.settled());
          // Its own ffmpeg may have been killed, which fails the file; the frames until then are in order.
          const expected = Array.from({ length: live.published(id).frames.length }, (_, i) => i);
          expect(live.published(id).frames).toEqual(expected);
          if (stream.state === 'ended') expect(expected).toHaveLength(FILE_FRAMES);
          await live.runtime.remove(id);
        }
      })();

      const signal = (name: NodeJS.Signals) => async () => {
        const cameras = ffmpegWith(folder.marker).filter(({ state }) => state !== 'T');
        if (cameras.length > 0) process.kill(pick(cameras).pid, name);
      };
      const faults: readonly (() => Promise<unknown>)[] = [
        signal('SIGKILL'),
        async () => {
          // Only cameras have a stall timeout; files do not.
          const cameras = ffmpegWith(`${folder.marker}/loop.mp4`).filter(({ state }) => state !== 'T');
          if (cameras.length > 0) process.kill(pick(cameras).pid, 'SIGSTOP');
        },
        async () => pick(live.runtime.threads.lanes)?.crash(),
        async () => pick(live.runtime.threads.inference)?.crash(),
        async () => {
          const stream = live.runtime.stream(pick(STREAMS));
          await stream.pause();
          await sleep(random() * 500);
          stream.resume();
        },
        async () => {
          // It may end, and be removed, at the same time.
          const stream = live.runtime.streams.find(({ id }) => id.startsWith('file'));
          await stream?.pause().then(
            () => stream.resume(),
            (error: SightlineError) => expect(error.code).toBe('STREAM_STATE'),
          );
        },
        async () => {
          const id = pick(STREAMS);
          const { patch: change, isValid } = randomPatch(random);
          const before = live.runtime.stream(id).config;
          const code = await patch(id, change).then(
            () => null,
            (error: SightlineError) => error.code,
          );
          const said = `${id} ${JSON.stringify(change)}`;
          expect([said, code]).toEqual([said, isValid ? null : 'CONFIG_INVALID']);
          const { config } = live.runtime.stream(id);
          if (isValid) expect({ ...UNSET, ...config }).toMatchObject(change);
          else expect(config).toBe(before);
        },
        () => live.runtime.assignModel(pick(STREAMS), pick(MODELS)),
        async () => {
          const own = new Set(live.runtime.childPids);
          const running = ffmpegWith('sightline-').filter(({ pid, state }) => state !== 'T' && own.has(pid));
          if (running.length === 0) return;
          const { pid } = pick(running);
          process.kill(pid, 'SIGSTOP');
          await sleep(random() * 1500);
          if (isAlive(pid)) process.kill(pid, 'SIGCONT');
        },
        suspendSelf,
        async () => {
          const id = pick(CAMERAS);
          await live.runtime.remove(id);
          await live.add({ id, ...loop });
        },
        async () => {
          await http.stop();
          await sleep(500);
          await http.start();
        },
      ];
      const marks: { readonly atS: number; readonly resources: ReturnType<typeof ownResources> }[] = [];
      let baseline = ownResources();
      const startedMs = performance.now();
      let count = 0;
      for (;;) {
        const atS = (performance.now() - startedMs) / 1000;
        if (atS > seconds) break;
        if (count === 20) baseline = ownResources();
        await within('a fault', 30_000, pick(faults)());
        count += 1;
        await sleep(random() * 600);
        marks.push({ atS, resources: ownResources() });
      }
      isOver = true;
      await within('the last file', 60_000, archive);
      for (const id of STREAMS) await patch(id, CALM);
      await live.allFlow(STREAMS, 10);
      for (const id of STREAMS) await live.reaches(live.runtime.stream(id), 'running');
      await waitFor('one ffmpeg for each camera', () => live.runtime.childPids.length === STREAMS.length);
      await waitFor('all threads', () => live.runtime.threads.inference.length === 4);
      await waitFor('no thread more than before', () => ownResources().threads <= baseline.threads + 1);
      await waitFor(
        'no more descriptors than before',
        () => ownResources().fileDescriptors <= baseline.fileDescriptors + 8,
      );
      console.log(`${count} faults, ${files} files`);
      const settled = marks.slice(Math.floor(marks.length / 2));
      for (const [name, perHour, of] of BUDGETS) {
        const estimate = estimateSlope(settled.map(({ atS, resources }) => [atS, of(resources)] as const));
        if (estimate === null) continue;
        const [low, high] = estimate.interval.map((perS) => perS * 3600) as [number, number];
        const said = `${name}: ${(estimate.perS * 3600).toFixed(1)} an hour (${low.toFixed(1)} to ${high.toFixed(1)}), mean ${estimate.mean.toFixed(1)}`;
        console.log(said);
        // In a short run noise alone gives steep slopes, and the allocator has not settled.
        if (seconds >= LONG_S) expect(low, said).toBeLessThanOrEqual(perHour);
      }
      expect(await live.close()).toEqual([]);
      expect(ffmpegWith(folder.marker)).toEqual([]);
      await http.close();
    },
    seconds * 1000 + 180_000,
  );
});

/** Stops this process, as a laptop that is closed does, and lets it go on later. */
async function suspendSelf(): Promise<void> {
  const script = `kill -STOP ${process.pid}; sleep ${SUSPENDED_S}; kill -CONT ${process.pid}`;
  spawn('sh', ['-c', script], { detached: true, stdio: 'ignore' }).unref();
  await sleep(SUSPENDED_S * 1000 + 200);
}

async function loadFake(runtime: Runtime, name: string, inputSize: string): Promise<void> {
  const fake = { callMs: 0, frameMs: 3 };
  const text = { name, description: 'x', model: { engine: 'fake', inputSize, threads: 1, timeoutMs: 2_000, fake } };
  const { model, batch } = parsePipeline(JSON.stringify(text), 'test');
  await loadBeside(runtime, name, { model, batch, environment: NO_ENVIRONMENT, onNotice: () => undefined });
}

/** Park and Miller's minimal standard generator, so that a run can be repeated with its seed. */
function randomFrom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
