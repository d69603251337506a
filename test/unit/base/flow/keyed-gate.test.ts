import { describe, expect, it } from 'vitest';
import { KeyedGate } from '../../../../src/base/flow/keyed-gate.ts';

/** An operation that writes its begin and end to a log, and ends when it is told to. */
class Operation {
  readonly run: () => Promise<void>;
  end = (): void => undefined;

  constructor(name: string, log: string[]) {
    const ended = new Promise<void>((resolve) => {
      this.end = resolve;
    });
    this.run = async () => {
      log.push(`${name} begins`);
      await ended;
      log.push(`${name} ends`);
    };
  }
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('KeyedGate', () => {
  it('lets operations run at once, and one alone after them and before later ones', async () => {
    const gate = new KeyedGate();
    const log: string[] = [];
    const [a, b, alone, c] = ['a', 'b', 'alone', 'c'].map((name) => new Operation(name, log)) as [
      ...[Operation, Operation, Operation, Operation],
    ];
    const all = [gate.pass('x', a.run), gate.pass('x', b.run)];
    await settle();
    all.push(gate.alone('x', alone.run), gate.pass('x', c.run));
    await settle();
    expect(log).toEqual(['a begins', 'b begins']);
    b.end();
    a.end();
    await settle();
    expect(log.slice(-1)).toEqual(['alone begins']);
    alone.end();
    c.end();
    await Promise.all(all);
    expect(log.slice(-3)).toEqual(['alone ends', 'c begins', 'c ends']);
    expect(gate.size).toBe(0);
  });

  it('does not make other keys wait', async () => {
    const gate = new KeyedGate();
    const log: string[] = [];
    const [slow, other] = [new Operation('slow', log), new Operation('other', log)];
    const first = gate.alone('x', slow.run);
    other.end();
    await gate.pass('y', other.run);
    expect(log).toContain('other ends');
    expect(log).not.toContain('slow ends');
    slow.end();
    await first;
  });

  it('runs nothing beside either of two that run alone one after the other', async () => {
    const gate = new KeyedGate();
    const log: string[] = [];
    const names = ['alone 1', 'a', 'alone 2', 'b'] as const;
    const all = names.map((name) => {
      const operation = new Operation(name, log);
      operation.end();
      return name.startsWith('alone') ? gate.alone('x', operation.run) : gate.pass('x', operation.run);
    });
    expect(gate.size).toBe(1);
    await Promise.all(all);
    const at = (what: string) => log.indexOf(what);
    expect(at('alone 1 ends')).toBeLessThan(at('alone 2 begins'));
    for (const name of ['a', 'b']) {
      const isBeside = (alone: string) =>
        at(`${name} begins`) < at(`${alone} ends`) && at(`${alone} begins`) < at(`${name} ends`);
      expect([isBeside('alone 1'), isBeside('alone 2')], name).toEqual([false, false]);
    }
  });

  it('goes on after operations that fail, and forgets their key', async () => {
    const gate = new KeyedGate();
    const fails = async (): Promise<never> => {
      throw new Error('no');
    };
    await expect(gate.pass('x', fails)).rejects.toThrow('no');
    await expect(gate.alone('x', fails)).rejects.toThrow('no');
    expect(await gate.alone('x', async () => 1)).toBe(1);
    expect(await gate.pass('x', async () => 2)).toBe(2);
    expect(gate.size).toBe(0);
  });
});
