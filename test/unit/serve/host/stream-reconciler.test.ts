import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ErrorCode } from '../../../../src/base/errors/error-codes.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import type { WantedStream } from '../../../../src/serve/host/overlay/overlay.ts';
import {
  type Convergence,
  convergenceText,
  type RunningStreams,
  StreamReconciler,
} from '../../../../src/serve/host/stream-reconciler.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../../../src/settings/config/stream.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

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
  let starts: StreamReconciler<string>;
  /** Operations that were left to the streams that run. */
  let left: string[];
  let wanted: readonly WantedStream[];
  let running: WantedStream[];

  function open(failsWith: ErrorCode = 'SOURCE_NOT_FOUND'): void {
    existing = new Set();
    code = failsWith;
    reason = 'does not work';
    attempts = [];
    onAttempt = () => undefined;
    events = [];
    signal = undefined;
    left = [];
    wanted = [];
    running = [];
    const leave = async (what: string): Promise<string> => {
      left.push(what);
      return what;
    };
    starts = new StreamReconciler<string>({
      clock,
      running: {
        get current() {
          return running;
        },
        of: (id) => running.find(({ config }) => config.id === id) ?? null,
        start: async (config) => {
          attempts.push(config);
          onAttempt();
          if (existing.has(config.source)) {
            running.push({ config, isPaused: false });
            return `runs ${config.source}`;
          }
          throw new SightlineError(code, `${config.source}: ${reason}`);
        },
        add: ({ id }) => leave(`add ${id}`),
        change: (id) => leave(`change ${id}`),
        replace: ({ id }) => leave(`replace ${id}`),
        pause: (id) => leave(`pause ${id}`),
        resume: (id) => leave(`resume ${id}`),
        remove: async (id) => void (await leave(`remove ${id}`)),
        renew: async (id) => void (await leave(`renew ${id}`)),
      },
      settings: {
        get wanted() {
          return { streams: wanted, notes: [] };
        },
        wantedOf: (id) => wanted.find(({ config }) => config.id === id) ?? null,
        follow: () => undefined,
        keep: async () => undefined,
      },
      onEvent: (kind, id, message, details) => events.push(`${kind} ${id} ${message} ${details?.code ?? ''}`.trim()),
      // The longest wait.
      random: () => 1,
      signal: () => signal,
    });
  }

  async function start(config: StreamConfig): Promise<SightlineError | null> {
    wanted = [{ config, isPaused: false }];
    return (await starts.start())[0]!;
  }

  const failing = (): string[] => [...starts.failures.keys()];

  afterEach(() => starts.close());

  it('one whose password is refused is tried again after 20 s, 40 s, then every two minutes, however often it is absent between', async () => {
    open('SOURCE_UNAUTHORIZED');
    await start(CAM);
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

  it('one is reported from its first attempt on, once, until it runs or has failed', async () => {
    open();
    const states = (): string[] => starts.reports.map(({ id, state, seq }) => `${id} ${state} ${seq}`);
    const during: string[][] = [];
    onAttempt = () => during.push(states(), states());
    await start(CAM);
    expect([during, states()]).toEqual([[['cam starting 0'], ['cam starting 1']], ['cam failed 0']]);
    existing.add(CAM.source);
    running = [];
    await starts.resume('cam');
    expect(states()).toEqual([]);
  });

  it('one that a signal ends has not failed: nothing is reported, and nothing tried again', async () => {
    open();
    const stop = new AbortController();
    ({ signal } = stop);
    onAttempt = () => stop.abort('enough');
    await expect(start(CAM)).rejects.toBe('enough');
    await expect(start(CAM)).rejects.toBe('enough');
    expect({ attempts: attempts.length, reports: starts.reports, events }).toEqual({
      attempts: 1,
      reports: [],
      events: [],
    });
  });

  it('one is reported with its code, its reason and the time of the next attempt', async () => {
    vi.spyOn(Date, 'now').mockReturnValue(5_000);
    open();
    expect(await start(CAM)).toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    vi.restoreAllMocks();
    expect(starts.reports).toMatchObject([
      {
        id: 'cam',
        source: 'gone.mp4',
        state: 'failed',
        lastError: 'gone.mp4: does not work',
        results: { inferred: 0, tracked: 0, unchanged: 0, cached: 0 },
        startFailure: { code: 'SOURCE_NOT_FOUND', attempts: 1, retryAtMs: 6_000 },
      },
    ]);
    expect(failing()).toEqual(['cam']);
    expect(events).toEqual(['stream-state cam cam is failed: gone.mp4: does not work SOURCE_NOT_FOUND']);
  });

  it('one that starts is not kept', async () => {
    open();
    existing.add('gone.mp4');
    expect(await start(CAM)).toBeNull();
    expect([starts.reports, failing(), events]).toEqual([[], [], []]);
  });

  it('waits of 1, 2, 4, 8, 16, 30 and 30 s lie between the attempts, and one event reports them all', async () => {
    open();
    await start(CAM);
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
    await start(CAM);
    code = 'SOURCE_UNREADABLE';
    reason = 'is half a file';
    clock.advance(1000);
    await turns();
    expect(starts.reports[0]!.startFailure!.code).toBe('SOURCE_UNREADABLE');
    expect(events.at(-1)).toBe('stream-state cam cam is failed: gone.mp4: is half a file SOURCE_UNREADABLE');
  });

  it('a file that appears is started, and is no failure any more', async () => {
    open();
    await start(CAM);
    existing.add('gone.mp4');
    clock.advance(1000);
    await turns();
    expect([attempts.length, failing(), starts.reports]).toEqual([2, [], []]);
    clock.advance(600_000);
    await turns();
    expect(attempts.length).toBe(2);
  });

  it.each(['SOURCE_UNREACHABLE', 'SOURCE_UNREADABLE', 'SOURCE_NO_VIDEO', 'LIMIT_REACHED'] as const)(
    '%s is tried again',
    async (failsWith) => {
      open(failsWith);
      await start(CAM);
      clock.advance(1000);
      await turns();
      expect(attempts.length).toBe(2);
    },
  );

  it.each(['SOURCE_FORBIDDEN', 'CONFIG_INVALID', 'SOURCE_TOO_LARGE', 'INTERNAL_ERROR'] as const)(
    '%s is not tried again before an operator acts',
    async (failsWith) => {
      open(failsWith);
      await start(CAM);
      clock.advance(3_600_000);
      await turns();
      expect(attempts.length).toBe(1);
      expect(starts.reports[0]!.startFailure).toEqual({ code: failsWith, attempts: 1, retryAtMs: null });
      existing.add('gone.mp4');
      expect(await starts.resume('cam')).toBe('runs gone.mp4');
    },
  );

  it('another source that works starts it', async () => {
    open();
    existing.add('other.mp4');
    await start(CAM);
    const started = await starts.change('cam', async (now) => ({ ...now, source: 'other.mp4' }));
    expect(started).toBe('runs other.mp4');
    expect(starts.reports).toEqual([]);
  });

  it('another source that does not work either is refused, and the old settings stay', async () => {
    open();
    await start(CAM);
    await expect(starts.change('cam', async (now) => ({ ...now, source: 'worse.mp4' }))).rejects.toMatchObject({
      code: 'SOURCE_NOT_FOUND',
    });
    expect(starts.reports).toMatchObject([{ source: 'gone.mp4', state: 'failed' }]);
  });

  it('any other setting is kept for the next attempt', async () => {
    open();
    await start(CAM);
    const report = await starts.change('cam', async (now) => ({ ...now, priority: 7 }));
    expect(report).toMatchObject({ id: 'cam', state: 'failed', priority: 7 });
    clock.advance(30_000);
    await turns();
    expect(attempts.map(({ priority }) => priority)).toEqual([0, 7, 7]);
  });

  it('a setting that is refused changes nothing', async () => {
    open();
    await start(CAM);
    const refusal = new SightlineError('CONFIG_INVALID', 'no');
    await expect(starts.change('cam', () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect([attempts.length, failing()]).toEqual([1, ['cam']]);
  });

  it('a paused one is not tried, not counted as failing, keeps changes, and is tried when it is resumed', async () => {
    open();
    await start(CAM);
    expect(await starts.pause('cam')).toMatchObject({ state: 'paused', lastError: 'gone.mp4: does not work' });
    expect(await starts.pause('cam'), 'twice').toMatchObject({ state: 'paused' });
    await starts.change('cam', async (now) => ({ ...now, source: 'new.mp4' }));
    clock.advance(3_600_000);
    await turns();
    expect([attempts.length, failing()]).toEqual([1, []]);
    expect(await starts.resume('cam')).toMatchObject({ state: 'failed', lastError: 'new.mp4: does not work' });
    existing.add('new.mp4');
    clock.advance(1000);
    await turns();
    expect(starts.reports).toEqual([]);
  });

  it('a removed one is not tried again', async () => {
    open();
    await start(CAM);
    await starts.remove('cam');
    expect(left).toEqual([]);
    await starts.remove('cam');
    expect(left, 'twice').toEqual(['remove cam']);
    clock.advance(3_600_000);
    await turns();
    expect([attempts.length, starts.reports, events.at(-1)]).toEqual([1, [], 'stream-removed cam cam was removed']);
  });

  it('a removal during an attempt that succeeds leaves it to the running streams', async () => {
    open();
    await start(CAM);
    existing.add('gone.mp4');
    const [resumed] = await Promise.all([starts.resume('cam'), starts.remove('cam')]);
    expect([resumed, left]).toEqual(['runs gone.mp4', ['remove cam']]);
  });

  it('new settings that come during an attempt that succeeds reach the stream that it has started', async () => {
    open();
    await start(CAM);
    existing.add('gone.mp4');
    const resumed = starts.resume('cam');
    wanted = [{ config: { ...CAM, maxFps: 5 }, isPaused: false }];
    const { changed, failures } = await starts.converge();
    expect([await resumed, changed, failures, left]).toEqual(['runs gone.mp4', ['cam'], [], ['replace cam']]);
    expect([failing(), starts.reports]).toEqual([[], []]);
  });

  it('operations on any other stream are left to the running streams', async () => {
    open();
    const config = (): Promise<StreamConfig> => Promise.reject(new Error('not asked'));
    await starts.change('other', config);
    await starts.pause('other');
    await starts.resume('other');
    await starts.remove('other');
    expect(left).toEqual(['change other', 'pause other', 'resume other', 'remove other']);
  });

  it('one among many is bad: only that one is tried again', async () => {
    open();
    for (let i = 0; i < 50; i += 1) existing.add(`${i}.mp4`);
    for (let i = 0; i < 50; i += 1) await start({ ...CAM, id: `s${i}`, source: `${i}.mp4` });
    await start(CAM);
    clock.advance(1000);
    await turns();
    expect(attempts.slice(50).map(({ id }) => id)).toEqual(['cam', 'cam']);
  });

  it('nothing is tried after the end', async () => {
    open();
    await start(CAM);
    await starts.close();
    clock.advance(3_600_000);
    await turns();
    expect(attempts.length).toBe(1);
  });
});

const stream = (id: string, settings: object = {}, isPaused = false): WantedStream => ({
  config: parseStream({ id, source: 'demo', ...settings }, {}),
  isPaused,
});

/** Streams that do at once what they are told, except those that fail or hang. */
class Streams implements RunningStreams<void> {
  readonly calls: string[] = [];
  readonly settled: string[] = [];
  readonly failing = new Set<string>();
  readonly hanging = new Set<string>();
  readonly clock = new ManualClock();
  readonly current: readonly WantedStream[];
  /** Most that were started at once, and those that are. */
  mostAtOnce = 0;
  #starting = 0;

  constructor(...before: readonly WantedStream[]) {
    this.current = before;
  }

  of(id: string): WantedStream | null {
    return this.current.find(({ config }) => config.id === id) ?? null;
  }

  converge(wanted: readonly WantedStream[], isOther?: (source: string) => boolean): Promise<Convergence> {
    const settings = {
      wanted: { streams: wanted, notes: [] },
      wantedOf: (id: string) => wanted.find(({ config }) => config.id === id) ?? null,
      follow: (id: string) => void this.settled.push(id),
      keep: async () => undefined,
    };
    const { clock } = this;
    return new StreamReconciler({ clock, running: this, settings, onEvent: () => undefined }).converge(isOther);
  }

  async start({ id }: StreamConfig): Promise<void> {
    this.#starting += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#starting);
    await this.#do('start', id);
    await new Promise((resolve) => setImmediate(resolve));
    this.#starting -= 1;
  }
  add = (): Promise<void> => Promise.reject(new Error('not asked'));
  change = this.add;
  replace({ id, maxFps }: StreamConfig): Promise<void> {
    return this.#do('change', id, ` to maxFps ${maxFps}`);
  }
  pause(id: string): Promise<void> {
    return this.#do('pause', id);
  }
  resume(id: string): Promise<void> {
    return this.#do('resume', id);
  }
  remove(id: string): Promise<void> {
    return this.#do('remove', id);
  }
  renew(id: string): Promise<void> {
    return this.#do('renew', id);
  }

  async #do(what: string, id: string, how = ''): Promise<void> {
    this.calls.push(`${what} ${id}${how}`);
    if (this.failing.has(id)) throw new SightlineError('SOURCE_NOT_FOUND', 'no such file');
    if (this.hanging.has(id)) await new Promise(() => undefined);
  }
}

describe('streams that follow their settings', () => {
  it('does nothing where nothing differs', async () => {
    const streams = new Streams(stream('a', { maxFps: 5 }), stream('b', {}, true));
    const outcome = await streams.converge([stream('a', { maxFps: 5 }), stream('b', {}, true)]);
    expect(streams.calls).toEqual([]);
    expect(streams.settled).toEqual(['a', 'b']);
    expect(convergenceText(outcome)).toBe('streams: nothing changed');
  });

  it('removes, adds, changes, pauses and resumes, and leaves alone what stays as it is', async () => {
    const streams = new Streams(
      stream('old'),
      stream('same'),
      stream('rate'),
      stream('held'),
      stream('free', {}, true),
    );
    const outcome = await streams.converge([
      ...[stream('same'), stream('rate', { maxFps: 3 }), stream('held', {}, true), stream('free')],
      stream('new', {}, true),
    ]);
    expect(streams.calls).toEqual([
      ...['remove old', 'change rate to maxFps 3', 'pause held', 'resume free', 'start new', 'pause new'],
    ]);
    expect(convergenceText(outcome)).toBe('streams: 1 added (new), 3 changed (rate, held, free), 1 removed (old)');
  });

  it('goes on after a stream that fails, which does not count as settled', async () => {
    const streams = new Streams(stream('a'), stream('b'));
    streams.failing.add('a');
    const outcome = await streams.converge([stream('a', { maxFps: 1 }), stream('b', { maxFps: 1 })]);
    expect(streams.settled).toEqual(['b']);
    expect(convergenceText(outcome)).toBe('streams: 1 changed (b); a could not follow: no such file');
  });

  it('goes on after 30 s with a stream that waits for its sink', async () => {
    const streams = new Streams(stream('a'), stream('b'));
    streams.hanging.add('a');
    const outcome = streams.converge([stream('b', { maxFps: 1 })]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(streams.calls).toEqual(['remove a']);
    streams.clock.advance(30_000);
    expect(convergenceText(await outcome)).toMatch(/^streams: 1 changed \(b\); a could not follow: it still closes/);
  });

  it('start several at once, but not all', async () => {
    const streams = new Streams();
    const outcome = await streams.converge(Array.from({ length: 30 }, (_, i) => stream(`s${i}`)));
    expect([outcome.added.length, streams.mostAtOnce]).toEqual([30, 8]);
  });

  it('are opened again, if nothing else has changed, where a source stands for another one', async () => {
    const streams = new Streams(stream('a'), stream('b', { maxFps: 2 }), stream('c', { source: 'c.mp4' }));
    const wanted = [stream('a'), stream('b', { maxFps: 3 }), stream('c', { source: 'c.mp4' })];
    const outcome = await streams.converge(wanted, (source) => source === 'demo');
    expect(streams.calls).toEqual(['renew a', 'change b to maxFps 3']);
    expect(outcome.changed).toEqual(['a', 'b']);
  });
});
