import { describe, expect, it, vi } from 'vitest';
import type { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { InferenceClient } from '../../../../../src/frame/runtime/inference/inference-client.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { fakeEngineRequest, SIDE } from '../../../../support/fake-engine.ts';
import { isAlive } from '../../../../support/processes.ts';
import { waitFor, within } from '../../../../support/wait-for.ts';

const CALL_MS = 1500;

/** A thread in the middle of a call of `CALL_MS`. */
async function threadInCall(timeoutMs: number) {
  let lose: (error: SightlineError) => void = () => {};
  const lost = new Promise<SightlineError>((resolve) => {
    lose = resolve;
  });
  const results: unknown[] = [];
  const client = await InferenceClient.start(
    fakeEngineRequest(CALL_MS),
    {
      onResult: (_, result) => void results.push(result),
      onFailed: (_, error) => void results.push(error),
    },
    (_thread, batches, error) => {
      expect(batches).toHaveLength(1);
      lose(error);
    },
    timeoutMs,
  );
  const ring = SlotRing.create({ slots: 1, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
  client.attach({ ringId: 1, buffer: ring.buffer, shape: ring.shape });
  const frame = { ring: { ringId: 1, slots: ring }, slot: ring.acquire() } as unknown as InFlightFrame;
  const about = { model: 'default', closedMs: 0, ran: null };
  client.submit({ frames: [frame], inputs: 1, callSize: 1, scoreThreshold: 0.3, masks: false, ...about });
  const { tid } = client;
  if (tid === null) throw new Error('the thread has no number');
  return { client, tid, lost, results };
}

describe.skipIf(process.platform !== 'linux')('a thread that hangs', () => {
  it('is abandoned, and ends by itself when its call returns', async () => {
    const { tid, lost, results } = await threadInCall(300);
    const error = await within('the thread to be given up', 10_000, lost);
    expect(error.message).toMatch(/did not answer for \d+ ms/);
    expect(isAlive(tid), 'it is in its call').toBe(true);
    await waitFor('the thread to end', () => !isAlive(tid));
    expect(results, 'and nobody hears what it says then').toEqual([]);
  });

  it('is not taken for hung because the process was suspended', async () => {
    const { client, results } = await threadInCall(60_000);
    const real = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000);
    await waitFor('its result', () => results.length === 1);
    vi.restoreAllMocks();
    expect(results[0]).toMatchObject({ type: 'result' });
    await client.shutdown();
  });

  it('while it loads its engine is given up as well', async () => {
    const nobody = { onResult: () => {}, onFailed: () => {} };
    await expect(InferenceClient.start(fakeEngineRequest(1), nobody, () => {}, 1000, 1)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'engine fake: it was not ready within 1 ms',
    });
  });

  it('does not delay the shutdown, and is not terminated during its call', async () => {
    const { client, tid } = await threadInCall(60_000);
    await within('the shutdown', CALL_MS, client.shutdown(100));
    expect(isAlive(tid), 'it is in its call').toBe(true);
    await waitFor('the thread to end', () => !isAlive(tid));
  });
});
