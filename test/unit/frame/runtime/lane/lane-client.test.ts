import { afterEach, describe, expect, it } from 'vitest';
import type { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { LaneClient } from '../../../../../src/frame/runtime/lane/lane-client.ts';
import type { LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { waitFor } from '../../../../support/wait-for.ts';

/** A thread that runs one line of JavaScript. */
const script = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(code)}`);
const LISTEN = "import { parentPort as port } from 'node:worker_threads';";

describe('LaneClient', () => {
  const losses: string[] = [];
  const events = {
    onBusy: () => {},
    onPackets: () => {},
    onLost: (_: LaneClient, error: SightlineError) => losses.push(error.message),
  };
  let lane: LaneClient;

  afterEach(async () => {
    await lane.shutdown();
    losses.length = 0;
  });

  it('reports a lane as lost if its thread sends nothing for ten ticks, even though it runs', async () => {
    lane = new LaneClient(events, { entry: script('for (;;) {}'), tickMs: 20 });
    await waitFor('the loss', () => losses.length === 1);
    expect(losses[0]).toMatch(/a lane thread ended: no message for/);
  });

  it('keeps a lane while its thread sends messages', async () => {
    const speaks = script(`${LISTEN} setInterval(() => port.postMessage({ type: 'busy', preprocessMs: 1 }), 20);
      port.on('message', (m) => { if (m.type === 'shutdown') process.exit(0); });`);
    let words = 0;
    const onBusy = (): void => {
      words += 1;
    };
    lane = new LaneClient({ ...events, onBusy }, { entry: speaks, tickMs: 50 });
    await waitFor('more words than ticks are forgiven', () => words > 60);
    expect(losses).toEqual([]);
  });

  it('delivers messages that were posted before the thread was started', async () => {
    const echo = script(`${LISTEN} port.on('message', (m) => {
      if (m.type === 'shutdown') process.exit(0);
      port.postMessage({ type: 'frames', ringId: 3 });
      port.postMessage({ type: 'closed', ringId: m.type === 'open' ? m.stream.ring.ringId : m.ringId });
    });`);
    lane = new LaneClient(events, { entry: echo, startDelayMs: 50 });
    const heard: string[] = [];
    const listener = {
      onFrames: () => void heard.push('frames'),
      onLaneMessage: (m: { type: string }) => void heard.push(m.type),
      onLaneLost: () => {},
    };
    lane.open({ ring: { ringId: 3 } } as unknown as LaneStream, listener);
    await waitFor('the answers', () => heard.length === 2);
    expect(heard).toEqual(['frames', 'closed']);
  });
});
