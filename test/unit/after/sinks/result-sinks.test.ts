import { describe, expect, it } from 'vitest';
import { ResultQueue } from '../../../../src/after/sinks/result-queue.ts';
import { ResultSinks } from '../../../../src/after/sinks/result-sinks.ts';
import type { InFlightFrame } from '../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { frameOf } from './frames.ts';

const NO_SLOT = {} as InFlightFrame;

/** Files that publish as a ledger does, to one queue. */
function filesOf(capacity: number, ids: readonly string[]) {
  const queue = new ResultQueue({ id: 'q', policy: 'block', capacity, onEnd: () => undefined });
  const sinks = new ResultSinks([{ sink: queue, streams: null }]);
  let most = 0;
  const run = async (id: string, frames: number): Promise<void> => {
    for (let frame = 0; frame < frames; frame++) {
      for (let room = sinks.room(id); room !== null; room = sinks.room(id)) await room;
      sinks.publish({ ...frameOf(frame), streamId: id }, id, NO_SLOT, true);
      most = Math.max(most, queue.figures.waiting);
    }
  };
  return { queue, sinks, runs: (frames: number) => Promise.all(ids.map((id) => run(id, frames))), most: () => most };
}

describe('sinks that files wait for', () => {
  it.each([1, 2, 5])('never hold more than %i results of three files, and lose none', async (capacity) => {
    const { queue, runs, most } = filesOf(capacity, ['a', 'b', 'c']);
    const done = runs(20).then(() => queue.close());
    const seen: string[] = [];
    for await (const { stream, frame } of queue) seen.push(`${stream} ${frame}`);
    await done;
    expect(new Set(seen).size).toBe(60);
    expect(most()).toBe(capacity);
  });

  it('are not waited for by streams that they do not read, nor once they are removed', async () => {
    const { queue, sinks } = filesOf(1, []);
    const other = new ResultQueue({ id: 'other', policy: 'block', capacity: 1, onEnd: () => undefined });
    sinks.add({ sink: other, streams: new Set(['b']) });
    sinks.publish({ ...frameOf(0), streamId: 'b' }, 'b', NO_SLOT, true);
    await queue.next();
    void queue.next();
    await queue.drained();
    await Promise.resolve();
    expect(sinks.room('a')).toBeNull();
    expect(sinks.room('b')).not.toBeNull();
    sinks.remove(other);
    expect(sinks.room('b')).toBeNull();
  });

  it('that are stuck never hold back a live stream', () => {
    const { sinks } = filesOf(1, []);
    for (const frame of [0, 1, 2])
      expect(sinks.publish({ ...frameOf(frame), streamId: 'live' }, 'live', NO_SLOT, false)).toBeNull();
    expect(sinks.room('live')).toBeNull();
  });
});
