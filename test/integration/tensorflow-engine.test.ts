import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { TensorflowEngine } from '../../src/frame/infer/tensorflow-engine.ts';
import { request, tinyModel } from '../conformance/engine-cases.ts';
import { hasProc, isAlive } from '../support/processes.ts';
import { hasTensorflow } from '../support/tensorflow.ts';
import { waitFor, within } from '../support/wait-for.ts';

describe.skipIf(!hasTensorflow || !hasProc)('the process of the tensorflow engine (needs it set up, and /proc)', () => {
  const model = tinyModel('saved-model');
  let engine: TensorflowEngine;

  afterEach(() => engine?.close());

  async function load(rssGrowthBytes = 2 ** 30): Promise<TensorflowEngine> {
    engine = await TensorflowEngine.load(request('tensorflow', model, { batchSizes: [1, 2] }), { rssGrowthBytes });
    return engine;
  }

  /** The network returns the mean of each channel: for a grey picture, its grey level. */
  async function greyOf(grey: number): Promise<number> {
    engine.inputBuffer(1).fill(grey);
    return (await engine.infer(1)).get('mean')!.data[0] as number;
  }

  it('when it is killed, all pending calls fail at once, and the engine reports that it is lost', async () => {
    await load();
    // Stopped first, so that neither call can finish before the kill arrives.
    process.kill(engine.pid, 'SIGSTOP');
    const calls = [greyOf(1), greyOf(2)];
    process.kill(engine.pid, 'SIGKILL');
    const ends = await within('the calls', 5_000, Promise.allSettled(calls));
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    for (const end of ends) expect(end).toMatchObject({ reason: { code: 'ENGINE_FAILED' } });
    const lost = await within('the loss', 1_000, engine.lost);
    expect(lost).toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringContaining('SIGKILL') });
    await expect(greyOf(3)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });

  it('rejects a third call, and completes the two in flight', async () => {
    await load();
    const calls = [greyOf(1), greyOf(2)];
    await expect(engine.infer(1)).rejects.toThrow(RangeError);
    expect(await Promise.all(calls)).toEqual([1, 2]);
  });

  it('is replaced between two batches if it exceeds its memory budget: every call gets the correct result', async () => {
    // A budget below its current memory is exceeded by every call.
    await load(-1);
    const first = engine.pid;
    const answers: number[] = [];
    let previous = Promise.resolve();
    for (let i = 0; engine.replacements < 2; i++) {
      const call = greyOf(i % 256).then((grey) => {
        answers.push(grey);
      });
      await previous;
      previous = call;
    }
    await previous;
    expect(answers).toEqual(answers.map((_, i) => i % 256));
    expect(engine.pid).not.toBe(first);
    await waitFor('the first process to be gone', () => !isAlive(first));
    console.log(`${answers.length} calls over two replacements, none lost`);
  });

  it('ends when the engine is closed, also in the middle of a call', async () => {
    await load();
    const { pid } = engine;
    const call = greyOf(1).catch(() => undefined);
    await within('close()', 5_000, engine.close());
    await call;
    expect(isAlive(pid)).toBe(false);
  });

  it('ends with its parent process, however the parent ends', async () => {
    const script = `
      import { TensorflowEngine } from ${JSON.stringify(new URL('../../dist/src/frame/infer/tensorflow-engine.js', import.meta.url).href)};
      const engine = await TensorflowEngine.load(${JSON.stringify(request('tensorflow', model, { batchSizes: [1] }))});
      process.stdout.write(String(engine.pid));
      for (;;) await engine.infer(1);`;
    const host = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [text] = (await within('the engine', 30_000, once(host.stdout, 'data'))) as [Buffer];
    const pid = Number(text.toString());
    expect(isAlive(pid)).toBe(true);
    host.kill('SIGKILL');
    await waitFor('its TensorFlow to be gone', () => !isAlive(pid));
  });
});
