import { afterEach, describe, expect, it, vi } from 'vitest';
import { ObjectSink } from '../../../../src/after/sinks/object-sink.ts';
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

describe('a sink of the program that does not take a result', () => {
  it('is reported once after 10 s, and is well again when it takes it', async () => {
    vi.useFakeTimers();
    let take = (): void => undefined;
    const publish = (): Promise<void> =>
      new Promise((resolve) => {
        take = resolve;
      });
    const failures: string[] = [];
    const sink = new ObjectSink({ id: 'stuck', publish }, ({ message }) => failures.push(message));
    sink.publish(frameOf(0), 'clip.mp4');
    await vi.advanceTimersByTimeAsync(9_999);
    expect(failures).toEqual([]);
    expect(sink.figures).toMatchObject({ sent: 0, waiting: 1 });
    await vi.advanceTimersByTimeAsync(60_000);
    const problem = 'sink stuck: it has not taken a result for 10 s';
    expect(failures).toEqual([problem]);
    expect(sink.figures).toMatchObject({ problem, lost: { failed: 0 } });
    take();
    await vi.runAllTimersAsync();
    expect(sink.figures).toMatchObject({ problem: null, sent: 1 });
    await sink.close();
  });
});

interface PromiseWithSettle {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}
