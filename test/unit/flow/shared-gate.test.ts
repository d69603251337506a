import { describe, expect, it } from 'vitest';
import { SharedGate } from '../../../src/flow/shared-gate.ts';

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('SharedGate', () => {
  it('lets operations run at once, and one alone after them and before later ones', async () => {
    const gate = new SharedGate();
    const log: string[] = [];
    const [a, b, alone] = [deferred(), deferred(), deferred()];
    const run = (name: string, until: Promise<void>) => async () => {
      log.push(`${name} begins`);
      await until;
      log.push(`${name} ends`);
    };
    const all = [gate.pass(run('a', a.promise)), gate.pass(run('b', b.promise))];
    await settle();
    all.push(gate.alone(run('alone', alone.promise)), gate.pass(run('c', Promise.resolve())));
    await settle();
    expect(log).toEqual(['a begins', 'b begins']);
    b.resolve();
    a.resolve();
    await settle();
    expect(log.slice(-1)).toEqual(['alone begins']);
    alone.resolve();
    await Promise.all(all);
    expect(log.slice(-3)).toEqual(['alone ends', 'c begins', 'c ends']);
  });

  it('goes on after operations that fail', async () => {
    const gate = new SharedGate();
    const fails = async (): Promise<never> => {
      throw new Error('no');
    };
    await expect(gate.pass(fails)).rejects.toThrow('no');
    await expect(gate.alone(fails)).rejects.toThrow('no');
    expect(await gate.alone(async () => 1)).toBe(1);
    expect(await gate.pass(async () => 2)).toBe(2);
  });
});
