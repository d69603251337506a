import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { centernet } from '../conformance/engine-cases.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';
import { childrenWith, hasProc } from '../support/processes.ts';
import { hasTensorflow } from '../support/tensorflow.ts';
import { waitFor, within } from '../support/wait-for.ts';

const model = hasTensorflow && hasProc ? await centernet('tensorflow') : null;
const FILE_FRAMES = 40;
const PROCESS = 'tensorflow.process';

describe.skipIf(model === null)('a pipeline on TensorFlow (needs it set up, the default detector, and /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100, fps: 10 });
    await folder.make('file.mp4', { frames: FILE_FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    await waitFor('TensorFlow to be gone', () => childrenWith(PROCESS).length === 0);
  });

  afterAll(() => folder.remove());

  async function open(more: { timeoutMs?: number } = {}): Promise<void> {
    live = await LiveRuntime.open({
      maxBatch: 2,
      model: { name: 'centernet', engine: 'tensorflow', ...more },
      places: modelPlaces,
    });
  }

  const camera = (id: string) => ({
    id,
    source: `${folder.path}/loop.mp4`,
    loop: true,
    realtime: true,
    maxAgeMs: 10_000,
  });
  const isUp = (count: number): boolean =>
    live.events.filter(({ kind, message }) => kind === 'engine-restarted' && message.includes('has restarted'))
      .length >= count;

  it('one process serves every stream, and receives the next batch while it runs one', async () => {
    await open();
    await live.addAll([camera('c1'), camera('c2'), camera('c3')]);
    await waitFor('two batches on the thread', () => live.runtime.threads.inference[0]?.batchesInFlight === 2);
    await live.allFlow(['c1', 'c2', 'c3']);
    expect(childrenWith(PROCESS)).toHaveLength(1);
    expect(live.runtime.cpuUse()!.infer, 'its CPU is counted as that of inference').toBeGreaterThan(1_000);
    expect(live.runtime.engineInfo).toMatchObject({ engine: 'tensorflow', precision: 'f32', callsInFlight: 2 });
  });

  it('killed in the middle of a batch: its frames are counted, it is restarted, and no stream fails', async () => {
    await open();
    const [cam] = await live.addAll([camera('cam'), camera('other')]);
    await live.allFlow(['cam', 'other'], 3);
    const check = live.watch([]);
    await waitFor('a batch on the device', () => (live.runtime.threads.inference[0]?.batchesInFlight ?? 0) >= 1);
    const [victim] = childrenWith(PROCESS);
    const killedMs = performance.now();
    process.kill(victim!, 'SIGKILL');
    const dropped = (): number =>
      ['cam', 'other'].reduce(
        (sum, id) => sum + (live.runtime.stream(id).telemetry.frames(0).dropped['engine-failed'] ?? 0),
        0,
      );
    await waitFor('its frames to be counted', () => dropped() >= 1);
    const countedMs = performance.now() - killedMs;
    await waitFor('a new engine', () => isUp(1), { deadlineMs: 30_000 });
    console.log(
      `killed: counted after ${countedMs.toFixed(0)} ms, up after ${(performance.now() - killedMs).toFixed(0)} ms`,
    );
    await live.allFlow(['cam', 'other']);
    expect(await check()).toEqual([]);
    expect(live.report('cam').reconnects, 'no camera is opened again for it').toBe(0);
    expect(cam!.state).toBe('running');
    const lost = live.events.find(({ kind, message }) => kind === 'engine-restarted' && message.includes('SIGKILL'));
    expect(lost, 'and the reason is told').toBeDefined();
  });

  it('killed while it processes a file: every frame is published once', async () => {
    await open();
    const archive = await live.add({ id: 'archive', source: `${folder.path}/file.mp4` });
    await live.flows('archive', 5);
    process.kill(childrenWith(PROCESS)[0]!, 'SIGKILL');
    await within('the file', 50_000, archive.settled());
    expect(archive.state).toBe('ended');
    expect(live.published('archive').frames).toEqual(Array.from({ length: FILE_FRAMES }, (_, i) => i));
  });

  it('frozen, as with a hanging device: detected, killed and replaced', async () => {
    await open({ timeoutMs: 3_000 });
    await live.add(camera('cam'));
    await live.flows('cam', 2);
    const [victim] = childrenWith(PROCESS);
    process.kill(victim!, 'SIGSTOP');
    await waitFor('the hang to be noticed', () =>
      live.events.some(({ message }) => /did not answer for \d+ ms/.test(message)),
    );
    await waitFor('the frozen process to be gone', () => !childrenWith(PROCESS).includes(victim!));
    await waitFor('a new engine', () => isUp(1), { deadlineMs: 30_000 });
    await live.flows('cam', 2);
  });

  it('ends when its thread is killed', async () => {
    await open();
    await live.add(camera('cam'));
    await live.flows('cam', 2);
    const [victim] = childrenWith(PROCESS);
    await within('the crash', 5_000, live.runtime.threads.inference[0]!.crash());
    await waitFor('the old process to be gone', () => !childrenWith(PROCESS).includes(victim!));
    await waitFor('a new engine', () => isUp(1), { deadlineMs: 30_000 });
    await live.flows('cam', 2);
  });
});
