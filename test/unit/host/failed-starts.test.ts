import { afterEach, describe, expect, it, vi } from 'vitest';
import type { StreamConfig } from '../../../src/config/stream.ts';
import type { ErrorCode } from '../../../src/errors/error-codes.ts';
import { SightlineError } from '../../../src/errors/sightline-error.ts';
import { FailedStarts } from '../../../src/host/failed-starts.ts';
import { parseStream } from '../../../src/pipeline/load-pipeline.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const CAM = parseStream({ id: 'cam', source: 'gone.mp4' }, {});

/** Lets attempts end that a timer has begun. */
const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('streams that fail at their start', () => {
  const clock = new ManualClock();
  /** Sources that exist. */
  let existing: Set<string>;
  let code: ErrorCode;
  let reason: string;
  let attempts: StreamConfig[];
  let onAttempt: () => void;
  let events: string[];
  let signal: AbortSignal | undefined;
  let starts: FailedStarts<{ readonly config: StreamConfig }>;

  function open(failsWith: ErrorCode = 'SOURCE_NOT_FOUND'): void {
    existing = new Set();
    code = failsWith;
    reason = 'does not work';
    attempts = [];
    onAttempt = () => undefined;
    events = [];
    signal = undefined;
    starts = new FailedStarts({
      clock,
      add: async (config) => {
        attempts.push(config);
        onAttempt();
        if (existing.has(config.source)) return { config };
        throw new SightlineError(code, `${config.source}: ${reason}`);
      },
      onEvent: (kind, id, message, details) => events.push(`${kind} ${id} ${message} ${details?.code ?? ''}`.trim()),
      // The longest wait.
      random: () => 1,
      signal: () => signal,
    });
  }

  afterEach(() => starts.close());

  it('one whose password is refused is tried again after 20 s, 40 s, then every two minutes, however often it is absent between', async () => {
    open('SOURCE_UNAUTHORIZED');
    await starts.start(CAM);
    const waits: number[] = [];
    for (const waitMs of [20_000, 40_000, 80_000, 120_000, 120_000]) {
      clock.advance(waitMs - 1);
      await turns();
      const before = attempts.length;
      clock.advance(1);
      await turns();
      if (attempts.length === before + 1) waits.push(waitMs);
    }
    expect([waits, attempts.length]).toEqual([[20_000, 40_000, 80_000, 120_000, 120_000], 6]);
    code = 'SOURCE_UNREACHABLE';
    clock.advance(120_000);
    await turns();
    code = 'SOURCE_UNAUTHORIZED';
    clock.advance(1000);
    await turns();
    const before = attempts.length;
    clock.advance(119_999);
    await turns();
    expect(attempts.length).toBe(before);
  });

  it('one that a signal ends has not failed: nothing is reported, and nothing tried again', async () => {
    open();
    const stop = new AbortController();
    ({ signal } = stop);
    onAttempt = () => stop.abort('enough');
    await expect(starts.start(CAM)).rejects.toBe('enough');
    await expect(starts.start(CAM)).rejects.toBe('enough');
    expect({ attempts: attempts.length, reports: starts.reports, events }).toEqual({
      attempts: 1,
      reports: [],
      events: [],
    });
  });

  it('one is reported with its code, its reason and the time of the next attempt', async () => {
    vi.spyOn(Date, 'now').mockReturnValue(5_000);
    open();
    expect(await starts.start(CAM)).toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    vi.restoreAllMocks();
    expect(starts.reports).toMatchObject([
      {
        ...{ id: 'cam', source: 'gone.mp4', state: 'failed', lastError: 'gone.mp4: does not work' },
        results: { inferred: 0, tracked: 0, unchanged: 0, cached: 0 },
        startFailure: { code: 'SOURCE_NOT_FOUND', attempts: 1, retryAtMs: 6_000 },
      },
    ]);
    expect(starts.failing).toEqual(['cam']);
    expect(events).toEqual(['stream-state cam cam is failed: gone.mp4: does not work SOURCE_NOT_FOUND']);
  });

  it('one that starts is not kept', async () => {
    open();
    existing.add('gone.mp4');
    expect(await starts.start(CAM)).toBeNull();
    expect([starts.reports, starts.failing, events]).toEqual([[], [], []]);
  });

  it('waits of 1, 2, 4, 8, 16, 30 and 30 s lie between the attempts, and one event reports them all', async () => {
    open();
    await starts.start(CAM);
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
      const before = attempts.length;
      clock.advance(seconds * 1000 - 1);
      await turns();
      expect(attempts.length, `just before ${seconds} s`).toBe(before);
      clock.advance(1);
      await turns();
      expect(attempts.length, `after ${seconds} s`).toBe(before + 1);
    }
    expect(starts.reports[0]!.startFailure!.attempts).toBe(8);
    expect(events).toHaveLength(1);
  });

  it('another reason is another event', async () => {
    open();
    await starts.start(CAM);
    code = 'SOURCE_UNREADABLE';
    reason = 'is half a file';
    clock.advance(1000);
    await turns();
    expect(starts.reports[0]!.startFailure!.code).toBe('SOURCE_UNREADABLE');
    expect(events.at(-1)).toBe('stream-state cam cam is failed: gone.mp4: is half a file SOURCE_UNREADABLE');
  });

  it('a file that appears is started, and is no failure any more', async () => {
    open();
    await starts.start(CAM);
    existing.add('gone.mp4');
    clock.advance(1000);
    await turns();
    expect([attempts.length, starts.has('cam'), starts.reports]).toEqual([2, false, []]);
    clock.advance(600_000);
    await turns();
    expect(attempts.length).toBe(2);
  });

  it.each(['SOURCE_UNREACHABLE', 'SOURCE_UNREADABLE', 'SOURCE_NO_VIDEO', 'LIMIT_REACHED'] as const)(
    '%s is tried again',
    async (failsWith) => {
      open(failsWith);
      await starts.start(CAM);
      clock.advance(1000);
      await turns();
      expect(attempts.length).toBe(2);
    },
  );

  it.each(['SOURCE_FORBIDDEN', 'CONFIG_INVALID', 'SOURCE_TOO_LARGE', 'INTERNAL_ERROR'] as const)(
    '%s is not tried again before an operator acts',
    async (failsWith) => {
      open(failsWith);
      await starts.start(CAM);
      clock.advance(3_600_000);
      await turns();
      expect(attempts.length).toBe(1);
      expect(starts.reports[0]!.startFailure).toEqual({ code: failsWith, attempts: 1, retryAtMs: null });
      existing.add('gone.mp4');
      expect(await starts.resume('cam')).toEqual({ config: CAM });
    },
  );

  it('another source that works starts it', async () => {
    open();
    existing.add('other.mp4');
    await starts.start(CAM);
    const started = await starts.change('cam', async (now) => ({ ...now, source: 'other.mp4' }));
    expect(started).toEqual({ config: { ...CAM, source: 'other.mp4' } });
    expect(starts.has('cam')).toBe(false);
  });

  it('another source that does not work either is refused, and the old settings stay', async () => {
    open();
    await starts.start(CAM);
    await expect(starts.change('cam', async (now) => ({ ...now, source: 'worse.mp4' }))).rejects.toMatchObject({
      code: 'SOURCE_NOT_FOUND',
    });
    expect(starts.reports).toMatchObject([{ source: 'gone.mp4', state: 'failed' }]);
  });

  it('any other setting is kept for the next attempt', async () => {
    open();
    await starts.start(CAM);
    const report = await starts.change('cam', async (now) => ({ ...now, priority: 7 }));
    expect(report).toMatchObject({ id: 'cam', state: 'failed', priority: 7 });
    clock.advance(30_000);
    await turns();
    expect(attempts.map(({ priority }) => priority)).toEqual([0, 7, 7]);
  });

  it('a setting that is refused changes nothing', async () => {
    open();
    await starts.start(CAM);
    const refusal = new SightlineError('CONFIG_INVALID', 'no');
    await expect(starts.change('cam', () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect([attempts.length, starts.failing]).toEqual([1, ['cam']]);
  });

  it('a paused one is not tried, not counted as failing, keeps changes, and is tried when it is resumed', async () => {
    open();
    await starts.start(CAM);
    expect(await starts.pause('cam')).toMatchObject({ state: 'paused', lastError: 'gone.mp4: does not work' });
    expect(await starts.pause('cam'), 'twice').toMatchObject({ state: 'paused' });
    await starts.change('cam', async (now) => ({ ...now, source: 'new.mp4' }));
    clock.advance(3_600_000);
    await turns();
    expect([attempts.length, starts.failing]).toEqual([1, []]);
    expect(await starts.resume('cam')).toMatchObject({ state: 'failed', lastError: 'new.mp4: does not work' });
    existing.add('new.mp4');
    clock.advance(1000);
    await turns();
    expect(starts.has('cam')).toBe(false);
  });

  it('a removed one is not tried again', async () => {
    open();
    await starts.start(CAM);
    expect(await starts.remove('cam')).toBe(true);
    expect(await starts.remove('cam'), 'twice').toBe(false);
    clock.advance(3_600_000);
    await turns();
    expect([attempts.length, starts.reports, events.at(-1)]).toEqual([1, [], 'stream-removed cam cam was removed']);
  });

  it('a removal during an attempt that succeeds leaves it to the running streams', async () => {
    open();
    await starts.start(CAM);
    existing.add('gone.mp4');
    const [resumed, isRemoved] = await Promise.all([starts.resume('cam'), starts.remove('cam')]);
    expect([resumed, isRemoved]).toEqual([{ config: CAM }, false]);
  });

  it('operations on any other stream are left to the running streams', async () => {
    open();
    const config = (): Promise<StreamConfig> => Promise.reject(new Error('not asked'));
    expect(await starts.change('other', config)).toBeNull();
    expect(await starts.pause('other')).toBeNull();
    expect(await starts.resume('other')).toBeNull();
    expect(await starts.remove('other')).toBe(false);
  });

  it('one among many is bad: only that one is tried again', async () => {
    open();
    for (let i = 0; i < 50; i += 1) existing.add(`${i}.mp4`);
    for (let i = 0; i < 50; i += 1) await starts.start({ ...CAM, id: `s${i}`, source: `${i}.mp4` });
    await starts.start(CAM);
    clock.advance(1000);
    await turns();
    expect(attempts.slice(50).map(({ id }) => id)).toEqual(['cam', 'cam']);
  });

  it('nothing is tried after the end', async () => {
    open();
    await starts.start(CAM);
    await starts.close();
    clock.advance(3_600_000);
    await turns();
    expect(attempts.length).toBe(1);
  });
});
