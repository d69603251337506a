import { describe, expect, it } from 'vitest';
import { BoundedExport } from '../../../../src/frame/telemetry/tracing/bounded-export.ts';

describe('BoundedExport', () => {
  it('sends one request at a time, in order, and counts what became of each item', async () => {
    const answers: ((isTaken: boolean) => void)[] = [];
    const batches: number[][] = [];
    const queue = new BoundedExport<number>((items) => {
      batches.push(items);
      return new Promise((resolve) => answers.push(resolve));
    });
    for (let i = 0; i < 300; i++) queue.add(i);
    expect(batches.map(({ length }) => length)).toEqual([128]);
    answers[0]!(true);
    await expect.poll(() => batches.length).toBe(2);
    answers[1]!(false);
    await expect.poll(() => batches.length).toBe(3);
    expect(queue.figures).toEqual({ sent: 128, lost: 128 });
    answers[2]!(true);
    await queue.close();
    expect(batches.flat()).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(queue.figures).toEqual({ sent: 172, lost: 128 });
  });

  it('loses and counts what exceeds its bound while the receiver hangs, also at the end', async () => {
    const queue = new BoundedExport<number>(() => new Promise(() => undefined));
    for (let i = 0; i < 10_000; i++) queue.add(i);
    // 128 are on the way, 4096 wait.
    expect([queue.isFull, queue.figures]).toEqual([true, { sent: 0, lost: 10_000 - 128 - 4096 }]);
    await queue.close();
    expect(queue.figures.lost).toBe(10_000 - 128);
    expect(queue.isFull).toBe(false);
  });
});
