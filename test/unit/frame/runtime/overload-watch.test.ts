import { describe, expect, it } from 'vitest';
import { OverloadWatch } from '../../../../src/frame/runtime/overload-watch.ts';
import type { TargetEvent } from '../../../../src/frame/runtime/stream/stream-port.ts';
import type { StreamLoad } from '../../../../src/frame/telemetry/judge-overload.ts';
import type { OverloadReport } from '../../../../src/wire/protocol/overload.ts';

const BUSY = { busyRatio: { decode: 0.1, preprocess: 0.1, infer: 0.98, main: 0.1 }, cpuCores: 1.5, cores: 2 };

/** A host with cameras of 10 frames/s each, whose clock is set by hand. */
class Bench {
  nowMs = 0;
  /** Model inputs per second that are inferred for jobs and comparisons. */
  beside = 0;
  #inferred = 0;
  readonly said: string[] = [];
  readonly watch: OverloadWatch;
  readonly cameras = new Map<string, StreamLoad>();

  constructor(ids: readonly string[], models: ConstructorParameters<typeof OverloadWatch>[1] = async () => []) {
    for (const id of ids) this.set(id, 2);
    this.watch = new OverloadWatch(
      (kind, stream, message) =>
        void this.said.push(`${kind} ${stream ?? 'host'}${kind === 'overload-began' ? '' : `: ${message}`}`),
      models,
    );
  }

  /** @param published - frames/s of a camera. */
  set(id: string, published: number, isMissing = published < 9.5): void {
    const config = { id, target: { fps: 10 }, maxAgeMs: 500, track: false, decode: 'all' } as StreamLoad['config'];
    const fps = { in: 10, inferred: published, published };
    this.cameras.set(id, {
      config,
      fps,
      views: 1,
      isBehind: published < 9.5,
      isMissing,
      keyFps: null,
      keyShare: null,
      hasKeyFramesOnly: false,
      needs: null,
    });
  }

  tell(id: string, kind: TargetEvent['kind'], isOfHost = true): void {
    this.watch.onTarget(id, { kind, message: kind, details: { what: 'fps' }, isOfHost });
  }

  /** Lets seconds pass. */
  pass(seconds: number, host = BUSY): OverloadReport | null {
    let last: OverloadReport | null = null;
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1000;
      const loads = [...this.cameras.values()].map((load) => ({ config: load.config, load: () => load }));
      const away = { config: { ...loads[0]!.config, id: 'away' }, load: () => null };
      for (const { fps, views } of this.cameras.values()) this.#inferred += fps.inferred * views;
      this.#inferred += this.beside;
      const inferred = { inputs: this.#inferred, cpuMs: null };
      last = this.watch.update([...loads, away], host, this.nowMs, inferred).overload ?? null;
    }
    return last;
  }
}

const IDS = ['a', 'b', 'c', 'd'];

describe('an overload', () => {
  it('begins once a target is missed for some seconds, is said once, and ends ten seconds after it is over', () => {
    const bench = new Bench(IDS);
    for (const id of IDS) bench.set(id, 2, false);
    expect(bench.pass(4)).toBeNull();
    for (const id of IDS) bench.set(id, 2);
    const report = bench.pass(1);
    expect(report).toMatchObject({ stage: 'infer', askedFps: 40, doneFps: 8 });
    expect(bench.pass(30)?.sinceMs).toBe(report?.sinceMs);
    expect(bench.said).toEqual(['overload-began host']);
    for (const id of IDS) bench.set(id, 10);
    expect(bench.pass(9)).not.toBeNull();
    expect(bench.pass(1)).toBeNull();
    expect(bench.said.slice(1)).toEqual([
      'overload-ended host: this machine does what is asked of it again, after 40 s',
    ]);
  });

  it('goes on over seconds in which nothing is short', () => {
    const bench = new Bench(IDS);
    bench.pass(1);
    for (let i = 0; i < 10; i++) {
      for (const id of IDS) bench.set(id, i % 2 === 0 ? 10 : 2);
      expect(bench.pass(7)).not.toBeNull();
    }
    expect(bench.said).toEqual(['overload-began host']);
  });

  it('is one event, not one of each stream that misses a target because of it', () => {
    const bench = new Bench(IDS);
    for (const id of IDS) bench.tell(id, 'target-missed');
    bench.pass(1);
    expect(bench.said).toEqual(['overload-began host']);
    for (const id of IDS) bench.set(id, 10);
    for (const id of IDS) bench.tell(id, 'target-met');
    bench.pass(20);
    expect(bench.said).toEqual(['overload-began host', expect.stringMatching(/^overload-ended/)]);
  });

  it('is the event of targets that were missed shortly before it, too', () => {
    const bench = new Bench(IDS);
    for (const id of IDS) bench.tell(id, 'target-missed');
    // For a moment the detector does not look busy.
    bench.pass(2, { ...BUSY, busyRatio: { ...BUSY.busyRatio, infer: 0.7 } });
    expect(bench.said).toEqual([]);
    bench.pass(20);
    expect(bench.said).toEqual(['overload-began host']);
  });

  it('keeps back no event with a cause of its own, and none while there is no overload', () => {
    const bench = new Bench(IDS);
    bench.tell('a', 'target-missed', false);
    bench.pass(1);
    bench.tell('a', 'target-met', false);
    bench.pass(1);
    expect(bench.said).toEqual(['overload-began host', 'target-missed a: target-missed', 'target-met a: target-met']);
    const calm = new Bench(['a']);
    calm.set('a', 10);
    calm.tell('a', 'target-missed');
    calm.pass(4);
    expect(calm.said).toEqual(['target-missed a: target-missed']);
  });

  it('says at its end which stream still misses its target', () => {
    const bench = new Bench(IDS);
    for (const id of IDS) bench.tell(id, 'target-missed');
    bench.pass(1);
    for (const id of ['a', 'b', 'c']) bench.set(id, 10);
    // One of four, and 39 of 40 frames are done.
    bench.set('d', 9);
    bench.pass(10);
    expect(bench.said.slice(2)).toEqual(['target-missed d: target-missed']);
  });

  it('names the models at hand once they are known, and none if they cannot be listed', async () => {
    const bench = new Bench(IDS, async () => [{ name: 'small', speedup: 4, basis: 'measured' }]);
    expect(bench.pass(1)?.remedies.map(({ kind }) => kind)).toEqual(['rate']);
    await Promise.resolve();
    expect(bench.pass(1)?.remedies.map(({ kind }) => kind)).toEqual(['rate', 'model']);
  });

  it('believes at once that it can do less, and slowly that it can do more', () => {
    const bench = new Bench(IDS);
    bench.pass(30);
    const rateOf = (report: OverloadReport | null): number => report!.remedies[0]!.streamFps!;
    const before = rateOf(bench.pass(1));
    for (const id of IDS) bench.set(id, 0.5);
    const less = rateOf(bench.pass(3));
    expect(less).toBeLessThan(0.45 * before);
    for (const id of IDS) bench.set(id, 2);
    expect(rateOf(bench.pass(3))).toBeLessThan(0.7 * before);
  });

  it('says first what it does now, not what it did while it warmed up: no advice is below that', () => {
    const bench = new Bench(IDS);
    for (const id of IDS) bench.set(id, 0.1, false);
    bench.pass(10);
    for (const id of IDS) bench.set(id, 2);
    const first = bench.pass(1)!;
    expect(first.doneFps).toBe(8);
    // 95 % of 8 / 0.98 inferences/s for four cameras is 1.94.
    expect(first.remedies[0]?.streamFps).toBe(1.9);
    expect(bench.pass(20)!.remedies[0]?.streamFps).toBe(1.9);
  });

  it('shows the capacity that was seen, smoothed, and for ten minutes more: not what the host declared', () => {
    const bench = new Bench(IDS);
    expect(bench.watch.capacitySeen).toBeNull();
    bench.pass(30);
    // 8 inferences/s at 98 % of the time.
    expect(bench.watch.capacitySeen).toBeCloseTo(8 / 0.98, 6);
    for (const id of IDS) bench.set(id, 10);
    bench.pass(10, { ...BUSY, busyRatio: { ...BUSY.busyRatio, infer: 0.2 } });
    expect(bench.watch.capacitySeen).toBeCloseTo(8 / 0.98, 6);
    bench.pass(598);
    expect(bench.watch.capacitySeen).not.toBeNull();
    bench.pass(1);
    expect(bench.watch.capacitySeen).toBeNull();
  });

  it('counts in that capacity what jobs and comparisons take beside the live streams', () => {
    const bench = new Bench(IDS);
    bench.beside = 12;
    const report = bench.pass(60);
    expect(bench.watch.capacitySeen).toBeCloseTo(20 / 0.98, 3);
    // Of the live streams it says what is left for them.
    expect(report?.remedies[0]).toMatchObject({ kind: 'rate', streamFps: 1.9 });
    const decoding = new Bench(IDS);
    decoding.beside = 3;
    const host = { busyRatio: { decode: 0.95, preprocess: 0.1, infer: 0.3, main: 0.1 }, cpuCores: 1.9, cores: 2 };
    expect(decoding.pass(60, host)).toMatchObject({ stage: 'decode' });
    // Here nobody knows what the detector could do: it waits for frames.
    expect(decoding.watch.capacitySeen).toBeCloseTo(11, 3);
  });
});
