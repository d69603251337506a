import { afterEach, describe, expect, it, vi } from 'vitest';
import { ObjectSink } from '../../../src/sinks/object-sink.ts';
import { frameOf } from './frames.ts';

afterEach(() => void vi.useRealTimers());

describe('a sink of the program that is stuck when it is closed', () => {
  it.each([
    ['takes it later', (settle: PromiseWithSettle) => settle.resolve()],
    ['refuses it later', (settle: PromiseWithSettle) => settle.reject(new Error('too late'))],
  ])('loses each result once, also if it %s', async (_, end) => {
    vi.useFakeTimers();
    let settle: PromiseWithSettle | null = null;
    const publish = (): Promise<void> =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject };
      });
    const failures: string[] = [];
    const sink = new ObjectSink({ id: 'stuck', publish }, ({ message }) => failures.push(message));
    for (let n = 0; n < 3; n++) sink.publish(frameOf(n), 'clip.mp4');
    const closed = expect(sink.close()).rejects.toMatchObject({ message: 'sink stuck: 3 results were lost' });
    await vi.runAllTimersAsync();
    await closed;
    const lost = { sent: 0, waiting: 0, lost: { overflow: 0, failed: 3 } };
    expect(sink.figures).toMatchObject(lost);
    end(settle!);
    await vi.runAllTimersAsync();
    expect(sink.figures).toMatchObject(lost);
    expect(failures).toEqual([]);
  });
});

interface PromiseWithSettle {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}
