import { describe, expect, it } from 'vitest';
import { FairShare } from '../../../../../src/frame/runtime/inference/fair-share.ts';
import type { Batch } from '../../../../../src/frame/runtime/inference/inference-client.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

/** A detector with one thread. Its live streams, and the requests to it, always have a frame that waits, if they are there. */
class Detector {
  readonly streams = new Map<
    string,
    { readonly policy: { readonly hasFloor?: boolean; readonly isGuest?: boolean } }
  >();
  /** Its streams with a floor are files. */
  readsFiles = false;
  readonly isNamed: boolean;
  readonly ran: string[] = [];
  isLoaded = true;
  running: Batch | null = null;
  readonly #share: () => FairShare;

  constructor(name: string, live: number, requests: number, share: () => FairShare) {
    this.isNamed = name === 'named';
    this.#share = share;
    for (let i = 0; i < live; i++) this.streams.set(`${name} live ${i}`, { policy: {} });
    for (let i = 0; i < requests; i++)
      this.streams.set(`${name} request ${i}`, { policy: { hasFloor: false, isGuest: true } });
  }

  get model() {
    const { isNamed, streams } = this;
    const urgent = [...streams.values()].filter(({ policy }) => policy.hasFloor !== false);
    return {
      isNamed,
      callsInFlight: 1,
      pool: { threadCount: 1 },
      freeThread: () => (this.running === null && this.isLoaded ? {} : null),
      batcher: {
        waitingInputs: streams.size,
        hasUrgent: urgent.length > 0,
        hasGuest: urgent.length < streams.size,
        hasLive: urgent.length > 0 && !this.readsFiles,
      },
    };
  }

  /** Runs a frame of the stream that comes first in its turn: live ones before requests. */
  run(): void {
    if (this.model.freeThread() === null || this.streams.size === 0 || !this.#share().mayRun(this as never)) return;
    const [first] = this.streams;
    const [streamId, stream] = first!;
    if (this.model.batcher.hasUrgent || stream.policy.hasFloor === false) {
      this.streams.delete(streamId);
      this.streams.set(streamId, stream);
    }
    this.running = { frames: [{ streamId }] } as unknown as Batch;
    this.ran.push(streamId);
    this.#share().began(this as never, this.running);
  }

  end(): void {
    const batch = this.running;
    this.running = null;
    if (batch !== null) this.#share().ended(batch);
  }
}

function rig(...plans: readonly (readonly [name: string, live: number, requests: number])[]) {
  const clock = new ManualClock();
  const share: FairShare = new FairShare(() => detectors as never, clock);
  const detectors = plans.map(([name, live, requests]) => new Detector(name, live, requests, () => share));
  const rounds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      for (const detector of detectors) detector.run();
      await Promise.resolve();
      clock.advance(10);
      for (const detector of detectors) detector.end();
      await Promise.resolve();
    }
  };
  return { clock, share, detectors, rounds };
}

describe('the share of the device', () => {
  it('that requests to one detector get is nothing while a frame of a live stream on another one waits', async () => {
    const { detectors, rounds } = rig(['own', 0, 4], ['named', 2, 0]);
    const [own, named] = detectors;
    await rounds(50);
    expect(own!.ran).toEqual([]);
    expect(named!.ran.length).toBeGreaterThanOrEqual(50);
    named!.streams.clear();
    await rounds(5);
    expect(own!.ran.length).toBeGreaterThanOrEqual(5);
  });

  it('that requests to one detector get is a batch in twenty while another one reads a file', async () => {
    const { detectors, rounds } = rig(['own', 0, 4], ['named', 2, 0]);
    const [own, named] = detectors;
    named!.readsFiles = true;
    await rounds(200);
    expect(own!.ran.length).toBeGreaterThanOrEqual(8);
    expect(own!.ran.length).toBeLessThanOrEqual(11);
    expect(named!.ran.length).toBeGreaterThanOrEqual(180);
  });

  it('that requests to a candidate get is nothing while a live stream on the control waits', async () => {
    const { detectors, rounds } = rig(['control', 1, 0], ['candidate', 0, 1]);
    await rounds(20);
    expect(detectors[1]!.ran).toEqual([]);
  });

  it('is not kept for a detector that hangs, or is not loaded', async () => {
    const { clock, detectors, rounds } = rig(['own', 0, 1], ['named', 1, 0]);
    const [own, named] = detectors;
    named!.isLoaded = false;
    await rounds(3);
    expect(own!.ran.length).toBeGreaterThanOrEqual(3);
    named!.isLoaded = true;
    named!.run();
    const before = own!.ran.length;
    own!.run();
    expect(own!.ran).toHaveLength(before);
    clock.advance(1100);
    await Promise.resolve();
    expect(own!.ran.length).toBeGreaterThan(before);
  });

  it('of live streams is the same whether or not there are requests', async () => {
    const without = rig(['own', 1, 0], ['named', 3, 0]);
    await without.rounds(200);
    const alone = without.detectors.map(({ ran }) => ran.length);
    expect(alone[1]! / alone[0]!).toBeCloseTo(3, 0);
    // While no live frame waits, requests run; that is not held against the live streams of their detector.
    const { share, detectors, rounds } = rig(['own', 1, 0], ['named', 3, 0]);
    const [own] = detectors;
    own!.streams.set('request', { policy: { hasFloor: false } });
    for (let i = 0; i < 100; i++) {
      const batch = { frames: [{ streamId: 'request' }] } as unknown as Batch;
      share.began(own as never, batch);
      share.ended(batch);
    }
    own!.streams.delete('request');
    await rounds(200);
    expect(detectors.map(({ ran }) => ran.length)).toEqual(alone);
  });
});
