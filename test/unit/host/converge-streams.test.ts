import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../src/errors/sightline-error.ts';
import {
  type Convergence,
  convergenceText,
  convergeStreams,
  type StreamActions,
} from '../../../src/host/converge-streams.ts';
import type { WantedStream } from '../../../src/host/overlay/overlay.ts';
import { parseStream } from '../../../src/pipeline/load-pipeline.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const stream = (id: string, settings: object = {}, isPaused = false): WantedStream => ({
  config: parseStream({ id, source: 'demo', ...settings }, {}),
  isPaused,
});

/** Streams that do at once what they are told, except those that fail or hang. */
class Streams implements StreamActions {
  readonly calls: string[] = [];
  readonly settled: string[] = [];
  readonly failing = new Set<string>();
  readonly hanging = new Set<string>();
  readonly clock = new ManualClock();
  readonly #before: readonly WantedStream[];
  #wanted: readonly WantedStream[] = [];

  constructor(...before: readonly WantedStream[]) {
    this.#before = before;
  }

  converge(wanted: readonly WantedStream[]): Promise<Convergence> {
    this.#wanted = wanted;
    const ids = [...this.#before, ...wanted].map(({ config }) => config.id);
    return convergeStreams(this, [...new Set(ids)], this.clock);
  }

  alone(_id: string, run: () => Promise<void>): Promise<void> {
    return run();
  }
  now(id: string): WantedStream | null {
    return this.#before.find(({ config }) => config.id === id) ?? null;
  }
  wanted(id: string): WantedStream | null {
    return this.#wanted.find(({ config }) => config.id === id) ?? null;
  }
  start({ config, isPaused }: WantedStream): Promise<void> {
    return this.#do('start', config.id, isPaused ? ' paused' : '');
  }
  change({ config }: WantedStream): Promise<void> {
    return this.#do('change', config.id, ` to maxFps ${config.maxFps}`);
  }
  setPaused(id: string, isPaused: boolean): Promise<void> {
    return this.#do(isPaused ? 'pause' : 'resume', id);
  }
  remove(id: string): Promise<void> {
    return this.#do('remove', id);
  }
  onSettled(id: string): void {
    this.settled.push(id);
  }

  async #do(what: string, id: string, how = ''): Promise<void> {
    this.calls.push(`${what} ${id}${how}`);
    if (this.failing.has(id)) throw new SightlineError('SOURCE_NOT_FOUND', 'no such file');
    if (this.hanging.has(id)) await new Promise(() => undefined);
  }
}

describe('convergeStreams', () => {
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
      ...['remove old', 'change rate to maxFps 3', 'pause held', 'resume free', 'start new paused'],
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
});
