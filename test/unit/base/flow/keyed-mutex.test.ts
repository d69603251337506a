import { describe, expect, it } from 'vitest';
import { KeyedMutex } from '../../../../src/base/flow/keyed-mutex.ts';

function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('operations under a key', () => {
  it('run one after another, in the order of the calls', async () => {
    const mutex = new KeyedMutex();
    const first = gate();
    const log: string[] = [];
    const operation = (name: string, until?: Promise<void>) => async (): Promise<string> => {
      log.push(`${name} begins`);
      await until;
      log.push(`${name} ends`);
      return name;
    };
    const results = Promise.all([mutex.run('a', operation('1', first.opened)), mutex.run('a', operation('2'))]);
    await settle();
    expect(log).toEqual(['1 begins']);
    first.open();
    expect(await results).toEqual(['1', '2']);
    expect(log).toEqual(['1 begins', '1 ends', '2 begins', '2 ends']);
  });

  it('do not wait for those under other keys', async () => {
    const mutex = new KeyedMutex();
    const never = gate();
    const blocked = mutex.run('a', () => never.opened);
    expect(await mutex.run('b', async () => 7)).toBe(7);
    never.open();
    await blocked;
  });

  it('run even if the one before fails or throws, and each caller gets its own error', async () => {
    const mutex = new KeyedMutex();
    const results = await Promise.allSettled([
      mutex.run('a', () => Promise.reject(new Error('rejected'))),
      mutex.run('a', () => {
        throw new Error('thrown');
      }),
      mutex.run('a', async () => 'fine'),
    ]);
    expect(results.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error).message))).toEqual([
      'rejected',
      'thrown',
      'fine',
    ]);
  });

  it('leave nothing behind', async () => {
    const mutex = new KeyedMutex();
    const all = ['a', 'b', 'a'].map((key) => mutex.run(key, async () => key));
    expect(mutex.size).toBe(2);
    await Promise.all(all);
    await settle();
    expect(mutex.size).toBe(0);
  });
});
