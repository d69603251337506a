import { afterEach, describe, expect, it } from 'vitest';
import { LanePool } from '../../../../../src/frame/runtime/lane/lane-pool.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const script = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(code)}`);
const SPEAKS = `import { parentPort as port } from 'node:worker_threads';
  port.postMessage({ type: 'busy', preprocessMs: 0 });
  port.on('message', (message) => message.type === 'shutdown' && process.exit(0));`;

describe('LanePool', () => {
  let restarts: string[] = [];
  let failures: string[] = [];
  let busy = 0;
  let pool: LanePool;
  const events = {
    onPackets: () => {},
    onBusy: () => {
      busy += 1;
    },
    onRestarted: ({ message }: Error) => restarts.push(message),
    onFailed: ({ message }: Error) => failures.push(message),
  };
  afterEach(async () => {
    await pool.shutdown();
    restarts = [];
    failures = [];
    busy = 0;
  });

  it('gives up after three threads in a row that do not start, and says so once', async () => {
    pool = new LanePool(2, events, script("import 'a-package-that-is-missing';"));
    await waitFor('the end of the attempts', () => failures.length > 0);
    await waitFor('the last thread', () => pool.all.length === 0);
    expect(failures).toEqual([expect.stringMatching(/^no lane thread can be started: .*a-package-that-is-missing/)]);
    expect(restarts).toEqual([]);
    expect(() => pool.least).toThrow(expect.objectContaining({ code: 'LANE_FAILED', message: failures[0] }));
    expect(pool.failure).toMatchObject({ code: 'LANE_FAILED' });
  });

  it('replaces threads that have started, however often they end', async () => {
    pool = new LanePool(1, events, script(SPEAKS));
    for (let i = 1; i <= 5; i++) {
      await waitFor(`thread ${i}`, () => busy === i);
      await pool.all[0]!.crash();
      await waitFor('its replacement', () => restarts.length === i);
    }
    expect(pool.failure).toBeNull();
    expect(failures).toEqual([]);
  });
});
