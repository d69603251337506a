import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { EnginePool } from '../../../../../src/frame/runtime/inference/engine-pool.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { fakeEngineRequest, SIDE } from '../../../../support/fake-engine.ts';
import { waitFor } from '../../../../support/wait-for.ts';

it('a thread that cannot be started again is given up after three tries, with one word and the reason', async () => {
  const events: string[] = [];
  const note =
    (name: string) =>
    (_?: unknown): void =>
      void events.push(name);
  const request = fakeEngineRequest(60_000);
  const pool = new EnginePool(
    request,
    {
      onResult: note('result'),
      onFailed: note('batch failed'),
      onThreadLost: note('lost'),
      onThreadRestarted: note('restarted'),
      onThreadsFailed: ({ message }) => void events.push(message),
      onFileDamaged: note('damaged'),
    },
    300,
  );
  await pool.start(1);
  expect(pool.failure).toBeNull();
  // What no thread can be given, as a file that is gone: each start fails.
  Object.assign(request.fake, { rows: () => [] });
  const ring = SlotRing.create({ slots: 1, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
  pool.attach({ ringId: 1, buffer: ring.buffer, shape: ring.shape });
  const frame = { ring: { ringId: 1, slots: ring }, slot: ring.acquire() } as unknown as InFlightFrame;
  const about = { model: 'default', closedMs: 0, ran: null };
  pool.idle(1)!.submit({ frames: [frame], inputs: 1, callSize: 1, scoreThreshold: 0.3, masks: false, ...about });
  await waitFor('the threads to be given up', () => pool.failure !== null);
  const said = [
    'lost',
    'batch failed',
    expect.stringMatching(/^no inference thread can be started: .*could not be cloned/),
  ];
  expect(events).toEqual(said);
  await sleep(1_500);
  expect(events, 'and no word more').toEqual(said);
  await pool.shutdown();
});
