import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { centernet } from '../conformance/engine-cases.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';
import { hasOpenvino, openvinoDir } from '../support/openvino.ts';
import { hasProc } from '../support/processes.ts';
import { waitFor, within } from '../support/wait-for.ts';

const model = hasOpenvino && hasProc ? await centernet('openvino') : null;
const FILE_FRAMES = 60;

describe.skipIf(model === null)('a pipeline on OpenVINO (needs it set up, the default detector, and /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100, fps: 10 });
    await folder.make('file.mp4', { frames: FILE_FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
  });

  afterAll(() => folder.remove());

  async function open(more: object = {}, maxBatch = 2): Promise<void> {
    live = await LiveRuntime.open({
      maxBatch,
      model: { name: 'centernet', engine: 'openvino', threads: 2, ...more },
      places: { ...modelPlaces, openvinoDir },
    });
  }

  /** Four times the pixels, one picture a batch: with two cameras or more both threads are busy nearly always. */
  const SLOW = { inputSize: '1024x1024', precision: 'f32' };
  const camera = (id: string) => ({
    id,
    source: `${folder.path}/loop.mp4`,
    loop: true,
    realtime: true,
    maxAgeMs: 10_000,
  });
  /** For each thread, how many use the same compiled models. */
  const users = (): number[] =>
    live.runtime.threads.inference.map(({ share }) => Atomics.load(new Int32Array(share!.users), 0));
  const ups = (): number =>
    live.events.filter(({ kind, message }) => kind === 'engine-restarted' && message.includes('has restarted')).length;

  it('two threads of one process load the library and serve every stream', async () => {
    await open(SLOW, 1);
    await live.addAll([camera('c1'), camera('c2'), camera('c3')]);
    await live.allFlow(['c1', 'c2', 'c3']);
    await waitFor('a batch on each thread', () =>
      live.runtime.threads.inference.every(({ batchesInFlight }) => batchesInFlight >= 1),
    );
    expect(live.runtime.engineInfo).toMatchObject({ engine: 'openvino', provider: 'cpu', callsInFlight: 1 });
    expect(users(), 'both use the models that one compiled').toEqual([2, 2]);
  });

  it('a thread that dies in a call affects no other: its frames are counted, and it is replaced', async () => {
    await open(SLOW, 1);
    const [cam] = await live.addAll([camera('cam'), camera('other')]);
    await live.allFlow(['cam', 'other'], 3);
    for (let i = 1; i <= 3; i++) {
      await waitFor('a batch on each thread', () => {
        const { inference } = live.runtime.threads;
        return inference.length === 2 && inference.every(({ batchesInFlight }) => batchesInFlight >= 1);
      });
      await within('the crash', 5_000, live.runtime.threads.inference[0]!.crash());
      await waitFor('a new thread', () => ups() === i, { deadlineMs: 30_000 });
      await live.allFlow(['cam', 'other']);
    }
    expect(users(), 'no new thread depends on what a lost one shared').toEqual([1, 1]);
    expect(live.report('cam').reconnects, 'no camera is opened again for it').toBe(0);
    expect(cam!.state).toBe('running');
  });

  it('a thread that dies while it processes a file: every frame is published once', async () => {
    await open();
    const archive = await live.add({ id: 'archive', source: `${folder.path}/file.mp4` });
    await live.flows('archive', 5);
    await within('the crash', 5_000, live.runtime.threads.inference[0]!.crash());
    await within('the file', 50_000, archive.settled());
    expect(archive.state).toBe('ended');
    expect(live.published('archive').frames).toEqual(Array.from({ length: FILE_FRAMES }, (_, i) => i));
  });

  it('a call longer than the timeout counts as hung: its thread is replaced, and the call ends on its own', async () => {
    // Six times the pixels take a fifth of a second on a fast core; the watchdog checks every 200 ms.
    await open({ threads: 1, timeoutMs: 100, inputSize: '1280x1280', precision: 'f32' }, 1);
    await live.add(camera('cam'));
    await waitFor('the hang to be noticed', () =>
      live.events.some(({ message }) => /did not answer for \d+ ms/.test(message)),
    );
    await waitFor('a new thread', () => ups() >= 1, { deadlineMs: 30_000 });
    const { dropped } = live.runtime.stream('cam').telemetry.frames(0);
    expect(dropped['engine-failed']).toBeGreaterThanOrEqual(1);
  });
});
