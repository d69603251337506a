import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../src/base/core/clock.ts';
import type { FleetStore } from '../../../../../src/fleet/control/store/fleet-store.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { transact } from '../../../../../src/fleet/control/store/transaction.ts';

/** A store in which others are faster until they are done. */
function contestedStore(isContested: () => boolean): FleetStore {
  const store = new MemoryStore(systemClock);
  return {
    read: (commands) => store.read(commands),
    commit: (change) => (isContested() ? Promise.resolve(null) : store.commit(change)),
  };
}

describe('a transaction that others get ahead of', () => {
  it('gives up if they are ahead every time', async () => {
    const store = contestedStore(() => true);
    const attempt = transact(store, (transaction) => transaction.commit([['SET', 'counter', '7']]));
    await expect(attempt).rejects.toMatchObject({
      code: 'CONTROL_UNREACHABLE',
      message: expect.stringContaining('changed by others 100 times'),
    });
  });
});
