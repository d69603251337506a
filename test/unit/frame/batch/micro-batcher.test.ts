import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchItem, type BatchStreamOptions, MicroBatcher } from '../../../../src/frame/batch/micro-batcher.ts';

interface Item {
  readonly stream: string;
  readonly n: number;
  readonly capturedMs: number;
  queuedMs: number;
}

const FILE: BatchStreamOptions = { priority: 0, weight: 1, queueSize: null, maxAgeMs: null };
const LIVE: BatchStreamOptions = { priority: 0, weight: 1, queueSize: 2, maxAgeMs: 500 };

/** A batcher with a manual clock and a list of its dropped frames. */
class Bench {
  nowMs = 1000;
  readonly dropped: [string, number, string][] = [];
  readonly batcher: MicroBatcher<Item>;
  readonly #next = new Map<string, number>();

  constructor(streams: Record<string, Partial<BatchStreamOptions>>, base: BatchStreamOptions, maxDelayMs = 5) {
    this.batcher = new MicroBatcher<Item>({ maxDelayMs });
    for (const [id, options] of Object.entries(streams)) this.batcher.setStream(id, { ...base, ...options });
  }

  offer(stream: string, count = 1): void {
    for (let i = 0; i < count; i++) {
      const n = this.#next.get(stream) ?? 0;
      this.#next.set(stream, n + 1);
      for (const displaced of this.batcher.add(stream, { stream, n, capturedMs: this.nowMs, queuedMs: 0 }, this.nowMs))
        this.dropped.push([displaced.stream, displaced.n, 'queue-full']);
    }
  }

  /** Makes frames of these streams expected: each has delivered one, which is taken. */
  wake(...streams: string[]): this {
    for (const stream of streams) this.offer(stream);
    this.take(streams.length);
    return this;
  }

  /** `a0 b0 a1`, or the kind if it is not a batch. */
  take(size: number): string {
    const next = this.batcher.next(this.nowMs, size);
    for (const { stream, n } of next.stale) this.dropped.push([stream, n, 'stale']);
    if (next.kind === 'batch') return next.items.map(({ stream, n }) => `${stream}${n}`).join(' ');
    return next.kind === 'wait' ? `wait ${next.untilMs - this.nowMs}` : 'empty';
  }
}

describe('a stream without a floor, such as that of requests', () => {
  const REQUESTS = { priority: -101, hasFloor: false, queueSize: null, maxAgeMs: null };

  it('gets nothing while a frame of any other waits, for however long', () => {
    const bench = new Bench({ door: { priority: -100 }, yard: { priority: 5 }, requests: REQUESTS }, LIVE);
    bench.offer('requests', 3);
    const served: string[] = [];
    for (let i = 0; i < 200; i++) {
      bench.offer('door');
      served.push(bench.take(1));
    }
    bench.offer('yard', 2);
    served.push(bench.take(2));
    bench.nowMs += 5;
    served.push(bench.take(4));
    expect(served).toEqual([
      ...Array.from({ length: 200 }, (_, i) => `door${i}`),
      'yard0 yard1',
      'requests0 requests1 requests2',
    ]);
    expect(bench.dropped).toEqual([]);
  });

  it('gets one batch in twenty while only files have frames, and none while a live stream has', () => {
    const guests = { ...REQUESTS, isGuest: true };
    const bench = new Bench({ film: FILE, film2: FILE, door: LIVE, requests: guests, job: REQUESTS }, FILE);
    bench.offer('film', 300);
    bench.offer('film2', 300);
    bench.offer('job', 5);
    bench.offer('requests', 3);
    const turns = (count: number): number[] =>
      Array.from({ length: count }, () => bench.take(1)).flatMap((taken, i) => (/requests/.test(taken) ? [i + 1] : []));
    expect(turns(70)).toEqual([20, 40, 60]);
    // A request finds the files at any point of their course.
    bench.offer('requests', 1);
    expect(turns(20)).toEqual([20]);
    bench.offer('requests', 1);
    for (let i = 0; i < 60; i++) {
      bench.offer('door');
      expect(bench.take(1)).not.toMatch(/requests|job/);
      bench.nowMs += 100;
    }
  });

  it('fills what the frames of others leave of a batch, behind them', () => {
    const bench = new Bench({ door: {}, requests: REQUESTS }, LIVE);
    bench.offer('requests', 9);
    bench.offer('door', 2);
    expect(bench.take(4)).toBe('door0 door1 requests0 requests1');
  });

  it('is not waited for: no frame of others is held back for the next request', () => {
    const bench = new Bench({ door: {}, requests: REQUESTS }, LIVE).wake('door', 'requests');
    bench.offer('door');
    expect(bench.take(4)).toBe('door1');
    expect(bench.batcher.hasUrgent, 'only the request could wait').toBe(false);
    bench.offer('requests');
    expect(bench.batcher.hasUrgent).toBe(false);
    bench.offer('door');
    expect(bench.batcher.hasUrgent, 'the request gives way').toBe(true);
    // Another stream would be.
    const other = new Bench({ door: {}, yard: {} }, LIVE).wake('door', 'yard');
    other.offer('door');
    expect(other.take(4)).toBe('wait 5');
  });
});

describe('closing a batch', () => {
  it('is empty if nothing waits', () => {
    expect(new Bench({ a: {} }, FILE).take(4)).toBe('empty');
    expect(new Bench({}, FILE).take(4)).toBe('empty');
  });

  it('closes at once when it is full, with no more than its size', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE);
    bench.offer('a', 9);
    expect(bench.take(4)).toBe('a0 a1 a2 a3');
    expect(bench.take(4)).toBe('a4 a5 a6 a7');
    expect(bench.batcher.waitingInputs).toBe(1);
  });

  it('closes at once, partly filled, if every stream already has a frame in it', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE);
    bench.offer('a');
    bench.offer('b');
    expect(bench.take(8)).toBe('a0 b0');
  });

  it('otherwise waits for more frames until its oldest frame has waited maxDelayMs', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE, 5).wake('a', 'b');
    bench.offer('a');
    expect(bench.take(8)).toBe('wait 5');
    bench.nowMs += 3;
    bench.offer('a');
    expect(bench.take(8)).toBe('wait 2');
    bench.nowMs += 2;
    expect(bench.take(8)).toBe('a1 a2');
  });

  it('does not wait for a stream that has delivered nothing for a second, until it does again', () => {
    const bench = new Bench({ a: {}, b: {}, never: {} }, FILE, 5).wake('a', 'b');
    bench.nowMs += 999;
    bench.offer('a');
    expect(bench.take(8)).toBe('wait 5');
    bench.nowMs += 1;
    expect(bench.take(8)).toBe('a1');
    bench.offer('b');
    expect(bench.take(8)).toBe('wait 5');
    bench.offer('a');
    expect(bench.take(8)).toBe('b1 a2');
  });

  it('never waits until its own frames are too old', () => {
    const bench = new Bench({ a: { maxAgeMs: 4 }, b: {} }, FILE, 100).wake('a', 'b');
    bench.offer('a');
    expect(bench.take(8)).toBe('wait 2');
    bench.nowMs += 2;
    expect([bench.take(8), bench.dropped]).toEqual(['a1', []]);
  });

  it('does not wait if the best size is one frame', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE);
    bench.offer('a');
    expect(bench.take(1)).toBe('a0');
  });
});

describe('dropping frames', () => {
  it('says beforehand that the next frame displaces one; a file has room for any number', () => {
    const bench = new Bench({ live: {}, file: { queueSize: null } }, LIVE);
    const full: [boolean, boolean][] = [];
    for (let i = 0; i < 4; i++) {
      full.push([bench.batcher.isFull('live'), bench.dropped.length > 0]);
      bench.offer('live');
      bench.offer('file');
    }
    expect(full).toEqual([
      [false, false],
      [false, false],
      [true, false],
      [true, true],
    ]);
    expect(bench.batcher.isFull('file')).toBe(false);
  });

  it('drops the oldest frame of a full live queue, and counts it', () => {
    const bench = new Bench({ a: {} }, LIVE);
    bench.offer('a', 5);
    expect(bench.dropped).toEqual([
      ['a', 0, 'queue-full'],
      ['a', 1, 'queue-full'],
      ['a', 2, 'queue-full'],
    ]);
    expect(bench.take(8)).toBe('a3 a4');
  });

  it('drops and counts frames older than maxAgeMs when the batch closes; a frame of exactly that age is kept', () => {
    const bench = new Bench({ a: {} }, { ...LIVE, queueSize: 8 });
    bench.offer('a');
    bench.nowMs += 1;
    bench.offer('a');
    bench.nowMs += 500;
    expect(bench.take(8)).toBe('a1');
    expect(bench.dropped).toEqual([['a', 0, 'stale']]);
  });

  it('drops all that a queue that became shorter cannot hold', () => {
    const bench = new Bench({ a: { queueSize: 8 } }, LIVE);
    bench.offer('a', 8);
    bench.batcher.setStream('a', { ...LIVE, queueSize: 2 });
    bench.offer('a');
    expect(bench.dropped.map(([, n]) => n)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(bench.take(8)).toBe('a7 a8');
  });

  it('drops no frame of a file, however many and however old', () => {
    const bench = new Bench({ a: {} }, FILE);
    bench.offer('a', 100);
    bench.nowMs += 1e6;
    expect(bench.take(100).split(' ')).toHaveLength(100);
    expect(bench.dropped).toEqual([]);
  });
});

describe('sharing between streams', () => {
  it('serves higher priorities first and fills the batch with the others', () => {
    const bench = new Bench({ low: {}, high: { priority: 5 } }, FILE);
    bench.offer('low', 3);
    bench.offer('high', 2);
    expect(bench.take(4)).toBe('high0 high1 low0 low1');
  });

  it('gives every tenth input to lower priorities in turn while a higher one could take all', () => {
    const bench = new Bench({ high: { priority: 5 }, mid: { priority: 1 }, low: {} }, FILE);
    for (const id of ['high', 'mid', 'low']) bench.offer(id, 100);
    const names = Array.from({ length: 40 }, () => bench.take(1).replace(/\d+/, '')[0]).join('');
    expect(names).toBe('hhhhhhhhhmhhhhhhhhhlhhhhhhhhhmhhhhhhhhhl');
  });

  it('counts for the tenth only what was taken while lower frames waited, and not what they got for want of others', () => {
    const names = (bench: Bench) => Array.from({ length: 11 }, () => bench.take(1)[0]).join('');
    const late = new Bench({ high: { priority: 5 }, low: {} }, FILE);
    late.offer('high', 100);
    for (let i = 0; i < 50; i++) late.take(1);
    late.offer('low', 10);
    expect(names(late)).toBe('hhhhhhhhhlh');
    const early = new Bench({ high: { priority: 5 }, low: {} }, FILE);
    early.offer('low', 100);
    for (let i = 0; i < 50; i++) early.take(1);
    early.offer('high', 100);
    expect(names(early)).toBe('hhhhhhhhhlh');
  });

  it('adds up the waits of lower frames that became too old', () => {
    const bench = new Bench({ high: { priority: 5 }, low: { maxAgeMs: 50 } }, FILE);
    bench.offer('high', 100);
    const served: string[] = [];
    for (let round = 0; round < 2; round++) {
      bench.offer('low');
      for (let i = 0; i < 5; i++) served.push(bench.take(1));
      bench.nowMs += 51;
      served.push(bench.take(1));
    }
    // Five in the first round and four in the second.
    expect(served.indexOf('low1')).toBe(6 + 4);
  });

  it('gives nothing to a lower priority without a floor while others have frames', () => {
    const bench = new Bench({ high: {}, job: { priority: -101, hasFloor: false } }, FILE);
    bench.offer('high', 50);
    bench.offer('job', 1);
    for (let i = 0; i < 50; i++) expect(bench.take(1)).toBe(`high${i}`);
    expect(bench.take(1)).toBe('job0');
  });

  it('never lets others stop a stream, and never takes more than a tenth from the highest priority', () => {
    const stream = fc.record({ priority: fc.integer({ min: -3, max: 3 }), views: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(fc.array(stream, { minLength: 2, maxLength: 6 }), fc.integer({ min: 1, max: 8 }), (streams, size) => {
        const ids = streams.map((_, i) => `s${i}-`);
        const bench = new Bench(Object.fromEntries(ids.map((id, i) => [id, streams[i]!])), LIVE);
        const highest = Math.max(...streams.map(({ priority }) => priority));
        const inputs = new Map(ids.map((id) => [id, 0]));
        let [all, ofLower] = [0, 0];
        // Enough for each of five lower streams to be due, whatever the others take at once.
        while (all < 10 * 5 * 6 * 2) {
          bench.nowMs += 10;
          for (const id of ids) bench.offer(id);
          for (const name of bench.take(size).split(' ')) {
            const id = name.replace(/\d+$/, '');
            const { priority, views } = streams[ids.indexOf(id)]!;
            inputs.set(id, inputs.get(id)! + views);
            all += views;
            if (priority < highest) ofLower += views;
            // Larger batches also take lower frames once they have taken all others.
            if (size === 1) expect(ofLower).toBeLessThanOrEqual(0.1 * all + 6);
          }
        }
        for (const id of ids) expect(inputs.get(id), id).toBeGreaterThan(0);
      }),
    );
  });

  it('alternates between streams of one priority, so that a fast one never starves a slow one', () => {
    const bench = new Bench({ fast: {}, slow: {} }, LIVE);
    let slowServed = 0;
    for (let tick = 0; tick < 1000; tick++) {
      bench.nowMs += 10;
      bench.offer('fast', 4);
      if (tick % 10 === 0) {
        bench.offer('slow');
        expect(bench.take(1)).toMatch(/^(slow|fast)/);
        if (bench.batcher.depth('slow') === 0) slowServed += 1;
      } else if (bench.take(1).startsWith('slow')) slowServed += 1;
    }
    expect(slowServed).toBe(100);
    expect(bench.dropped.filter(([stream]) => stream === 'slow')).toEqual([]);
  });

  it.each([
    ['weights 1 and 1', { a: 1, b: 1 }],
    ['weights 3 and 1', { a: 3, b: 1 }],
    ['weights 5, 2 and 1', { a: 5, b: 2, c: 1 }],
    ['weights 0.5 and 1.5', { a: 0.5, b: 1.5 }],
  ] as [string, Record<string, number>][])('at twice its capacity, keeps %s to within 5 %%', (_, weights) => {
    const ids = Object.keys(weights);
    const bench = new Bench(Object.fromEntries(ids.map((id) => [id, { weight: weights[id]!, queueSize: 8 }])), LIVE);
    const served = new Map(ids.map((id) => [id, 0]));
    const size = 4;
    for (let tick = 0; tick < 2000; tick++) {
      bench.nowMs += 10;
      // Every stream alone could fill the device; together they send at least twice its capacity.
      for (const id of ids) bench.offer(id, size);
      for (const name of bench.take(size).split(' ')) {
        const id = name.replace(/\d+$/, '');
        served.set(id, served.get(id)! + 1);
      }
    }
    const total = ids.reduce((sum, id) => sum + weights[id]!, 0);
    for (const id of ids) {
      const share = served.get(id)! / (2000 * size);
      expect(Math.abs(share - weights[id]! / total) / (weights[id]! / total), id).toBeLessThan(0.05);
    }
  });

  it('gives a stream that was idle its share from now on, without a catch-up', () => {
    const bench = new Bench({ a: {}, b: {}, gone: {}, high: { priority: 1 }, last: {} }, FILE);
    bench.offer('a', 1000);
    for (let i = 0; i < 500; i++) bench.take(1);
    for (const id of ['gone', 'high', 'last']) bench.batcher.removeStream(id);
    const served = Array.from({ length: 100 }, () => {
      bench.offer('b');
      return bench.take(1)[0];
    });
    expect(served.filter((name) => name === 'b')).toHaveLength(50);
  });

  it('gives a stream no more for changes of its settings', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE);
    for (const id of ['a', 'b']) bench.offer(id, 100);
    const served = Array.from({ length: 100 }, () => {
      bench.batcher.setStream('a', { ...FILE });
      return bench.take(1)[0];
    });
    expect(served.filter((name) => name === 'a')).toHaveLength(50);
  });

  it('neither starves nor favours a stream that changes its priority', () => {
    const bench = new Bench({ a: {}, b: { priority: 1 } }, FILE);
    bench.offer('a', 2000);
    for (let i = 0; i < 1000; i++) bench.take(1);
    bench.offer('b', 300);
    for (let i = 0; i < 100; i++) bench.take(1);
    bench.batcher.setStream('a', { ...FILE, priority: 1 });
    const names = Array.from({ length: 100 }, () => bench.take(1)[0]).join('');
    expect(names.match(/a/g)?.length).toBeGreaterThanOrEqual(49);
    expect(names.match(/b/g)?.length).toBeGreaterThanOrEqual(49);
  });
});

describe('adding and removing streams', () => {
  it('returns exactly the waiting frames of a removed stream, in order', () => {
    const bench = new Bench({ a: {}, b: {} }, FILE);
    bench.offer('a', 3);
    bench.offer('b');
    expect(bench.batcher.removeStream('a').map(({ n }) => n)).toEqual([0, 1, 2]);
    expect([bench.batcher.removeStream('a'), bench.batcher.depth('a')]).toEqual([[], 0]);
    expect(bench.dropped).toEqual([]);
    expect(bench.take(8)).toBe('b0');
  });

  it('throws for a frame of an unknown stream', () => {
    expect(() => new Bench({}, FILE).offer('a')).toThrow(RangeError);
  });

  it('puts a requeued frame before all others of its stream', () => {
    const bench = new Bench({ a: {} }, FILE);
    bench.offer('a', 3);
    const next = bench.batcher.next(bench.nowMs, 2);
    if (next.kind !== 'batch') throw new Error(next.kind);
    for (const item of next.items.toReversed()) bench.batcher.putBack('a', item, bench.nowMs);
    expect(bench.take(8)).toBe('a0 a1 a2');
    expect(() => bench.batcher.putBack('b', next.items[0]!, bench.nowMs)).toThrow(RangeError);
  });

  it('keeps the waiting frames when settings change', () => {
    const bench = new Bench({ a: {} }, FILE);
    bench.offer('a', 3);
    bench.batcher.setStream('a', { ...LIVE, queueSize: 2 });
    expect(bench.batcher.depth('a')).toBe(3);
    expect(bench.take(8)).toBe('a0 a1 a2');
  });

  it('never waits for more frames longer than the frame would take alone', () => {
    const batcher = new MicroBatcher<BatchItem>({ maxDelayMs: 50 });
    for (const id of ['a', 'b']) batcher.setStream(id, { priority: 0, weight: 1, queueSize: 2, maxAgeMs: null });
    batcher.add('b', { capturedMs: 99, queuedMs: 0 }, 99);
    batcher.next(100, 1);
    batcher.add('a', { capturedMs: 100, queuedMs: 0 }, 100);
    expect(batcher.next(101, 4, 3)).toEqual({ kind: 'wait', stale: [], untilMs: 103 });
    expect(batcher.next(103, 4, 3)).toMatchObject({ kind: 'batch' });
  });
});

describe('frames with several model inputs', () => {
  it('closes a batch before the frame whose inputs would exceed its size', () => {
    const bench = new Bench({ a: { views: 5 }, b: { views: 2 } }, FILE);
    bench.offer('a');
    bench.offer('b', 2);
    expect(bench.batcher.waitingInputs).toBe(9);
    expect(bench.take(8), '5 and 2 inputs').toBe('a0 b0');
    expect(bench.batcher.waitingInputs).toBe(2);
  });

  it('says how many inputs a batch has, and whether more waited', () => {
    const bench = new Bench({ a: { views: 3 } }, FILE);
    bench.offer('a', 3);
    expect(bench.batcher.next(bench.nowMs, 8)).toMatchObject({ inputs: 6, isFull: true });
    expect(bench.batcher.next(bench.nowMs, 8)).toMatchObject({ inputs: 3, isFull: false });
  });

  it('takes a frame that alone exceeds the size', () => {
    const bench = new Bench({ a: { views: 17 } }, FILE);
    bench.offer('a', 2);
    expect(bench.take(8)).toBe('a0');
    expect(bench.take(8)).toBe('a1');
  });

  it('does not wait for more if the inputs of one frame fill the batch', () => {
    const bench = new Bench({ a: { views: 8 }, b: {} }, FILE);
    bench.offer('a');
    expect(bench.take(8)).toBe('a0');
  });

  it('shares inputs, not frames: a stream with five times the inputs gets a fifth of the frames', () => {
    const bench = new Bench({ tiled: { views: 5 }, plain: {} }, FILE);
    bench.offer('tiled', 100);
    bench.offer('plain', 500);
    const taken = Array.from({ length: 120 }, () => bench.take(1));
    expect(taken.filter((name) => name.startsWith('tiled'))).toHaveLength(20);
    expect(taken.filter((name) => name.startsWith('plain'))).toHaveLength(100);
  });
});
