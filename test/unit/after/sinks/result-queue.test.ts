import { describe, expect, it } from 'vitest';
import { type QueuePolicy, ResultQueue } from '../../../../src/after/sinks/result-queue.ts';
import { frameOf } from './frames.ts';

function queueOf(policy: QueuePolicy, capacity = 3) {
  const queue = new ResultQueue({ id: 'q', policy, capacity, onEnd: () => undefined });
  const publish = (streamId: string, frame: number, canWait: boolean): boolean =>
    queue.publish({ ...frameOf(frame, []), streamId }, 'a.mp4', canWait);
  const rest = async (): Promise<string[]> => {
    const seen: string[] = [];
    await queue.close();
    for await (const { stream, frame } of queue) seen.push(`${stream} ${frame}`);
    return seen;
  };
  return { queue, publish, rest };
}

describe('a queue of results', () => {
  it('with policy block asks files to wait, and loses none of theirs to a camera beside them', async () => {
    const { queue, publish, rest } = queueOf('block');
    expect([0, 1, 2].map((frame) => publish('file', frame, true))).toEqual([true, true, false]);
    for (const frame of [0, 1, 2, 3]) expect(publish('camera', frame, false)).toBe(true);
    expect(queue.figures).toMatchObject({ waiting: 3, lost: { overflow: 4 } });
    expect(await rest()).toEqual(['file 0', 'file 1', 'file 2']);
  });

  it('with policy block loses the oldest of cameras', async () => {
    const { queue, publish, rest } = queueOf('block');
    publish('file', 0, true);
    for (const frame of [0, 1, 2, 3]) publish('camera', frame, false);
    expect(queue.figures).toMatchObject({ waiting: 3, lost: { overflow: 2 } });
    expect(await rest()).toEqual(['file 0', 'camera 2', 'camera 3']);
  });

  it('with policy latest never asks to wait, and loses the oldest of all', async () => {
    const { publish, rest } = queueOf('latest');
    expect([0, 1, 2, 3, 4].every((frame) => publish('file', frame, true))).toBe(true);
    expect(await rest()).toEqual(['file 2', 'file 3', 'file 4']);
  });

  it('counts the result that its reader works on as waiting, until the reader asks for the next one', async () => {
    const { queue, publish } = queueOf('block', 2);
    publish('file', 0, true);
    await queue.next();
    expect(queue.figures).toMatchObject({ sent: 0, waiting: 1 });
    expect(publish('file', 1, true)).toBe(false);
    await queue.next();
    expect(queue.figures).toMatchObject({ sent: 1, waiting: 1 });
    expect(publish('file', 2, true)).toBe(false);
    await queue.return();
    expect(queue.figures).toMatchObject({ sent: 1, waiting: 0, lost: { failed: 2 } });
  });

  it('counts each result of a reader that asks for several at once', async () => {
    const { queue, publish } = queueOf('block');
    const both = [queue.next(), queue.next()];
    publish('file', 0, true);
    publish('file', 1, true);
    await Promise.all(both);
    expect(queue.figures).toMatchObject({ sent: 0, waiting: 2 });
    void queue.next();
    expect(queue.figures).toMatchObject({ sent: 2, waiting: 0 });
  });

  it('is drained when its reader is done with a result, and when it is closed', async () => {
    const { queue, publish } = queueOf('block', 1);
    expect(publish('file', 0, true)).toBe(false);
    let isDrained = false;
    const drained = queue.drained().then(() => {
      isDrained = true;
    });
    await Promise.resolve();
    expect(isDrained).toBe(false);
    expect((await queue.next()).value?.frame).toBe(0);
    await Promise.resolve();
    expect(isDrained).toBe(false);
    const next = queue.next();
    await drained;
    publish('file', 1, true);
    expect((await next).value?.frame).toBe(1);
    const last = queue.drained();
    await queue.close();
    await last;
  });

  it('that another takes over keeps which results may be lost', async () => {
    const first = queueOf('block', 10);
    first.publish('camera', 0, false);
    first.publish('file', 0, true);
    const second = queueOf('block', 2);
    second.queue.takeOver(first.queue, undefined);
    second.publish('camera', 1, false);
    expect(await second.rest()).toEqual(['file 0', 'camera 1']);
  });
});
