import { describe, expect, it } from 'vitest';
import { PacketRing } from '../../../../src/after/recording/packet-ring.ts';
import type { PacketFragment, PacketsOpened } from '../../../../src/wire/protocol/packets.ts';

const opened = (connection: string, gap: PacketsOpened['gap'] = 'reconnect'): PacketsOpened => ({
  type: 'packets-opened',
  stream: 'cam',
  connection,
  init: new Uint8Array(8),
  codec: 'avc1',
  timescale: 1000,
  shiftUs: 0,
  gap,
});

/** A fragment of a second, of 100 bytes. */
const at = (second: number, isKey = true, connection = 'a'): PacketFragment => ({
  type: 'packets',
  stream: 'cam',
  connection,
  bytes: new Uint8Array(100),
  sha256: '',
  isKey,
  frames: 25,
  startUs: second * 1e6,
  endUs: (second + 1) * 1e6,
  firstUs: second * 1e6,
  firstTicks: 0,
  baseTicks: 0,
  baseAt: 0,
  endMs: 0,
});

function ring(maxBytes = 10_000, neededS = 0): PacketRing {
  const made = new PacketRing(maxBytes);
  made.neededUs = neededS * 1e6;
  made.push(opened('a', 'start'));
  return made;
}

const secondsOf = (kept: ReturnType<PacketRing['since']>): number[] =>
  kept.map(({ fragment }) => fragment.startUs / 1e6);

describe('the packets in memory', () => {
  it('reach back to the key frame before the time that is needed, and no further', () => {
    const packets = ring(10_000, 3);
    for (let second = 0; second < 20; second++) packets.push(at(second, second % 4 === 0));
    // At 20 s, 17 s is needed: the key frame before it is at 16 s.
    expect(secondsOf(packets.since(0))).toEqual([16, 17, 18, 19]);
    expect(packets.bytes).toBe(400);
    expect(packets.endUs).toBe(20e6);
  });

  it('are complete up to the time that is decoded next: with B-frames, pictures before the last one shown come later', () => {
    const packets = ring(10_000, 60);
    expect(packets.completeUs).toBeNull();
    packets.push(at(0));
    expect(packets.completeUs).toBe(1e6);
    packets.push({ ...at(1), firstTicks: 1080, baseTicks: 1000 });
    expect(packets.completeUs).toBe(1.92e6);
  });

  it('are given from the key frame at or before a time on', () => {
    const packets = ring(10_000, 60);
    for (let second = 0; second < 8; second++) packets.push(at(second, second % 3 === 0));
    expect(secondsOf(packets.since(5e6))).toEqual([3, 4, 5, 6, 7]);
    expect(secondsOf(packets.since(6e6))).toEqual([6, 7]);
    expect(secondsOf(packets.since(-1))[0]).toBe(0);
  });

  it('are never more than the limit: whole groups of pictures go, the oldest first', () => {
    const packets = ring(500, 60);
    for (let second = 0; second < 9; second++) {
      packets.push(at(second, second % 2 === 0));
      expect(packets.bytes).toBeLessThanOrEqual(500);
    }
    expect(secondsOf(packets.since(0))).toEqual([4, 5, 6, 7, 8]);
  });

  it('begin anew at the next key frame where one group is larger than the limit, and say so', () => {
    const packets = ring(250, 60);
    const kept = [0, 1, 2, 3, 4].map((second) => packets.push(at(second, second === 0 || second === 4)));
    expect(kept.map((each) => each?.gap)).toEqual(['start', null, null, undefined, 'ring-full']);
    expect(secondsOf(packets.since(0))).toEqual([4]);
  });

  it('have the reason of each gap, and begin with a key frame after it', () => {
    const packets = ring(10_000, 60);
    packets.push(at(0));
    packets.push(opened('b', 'clock'));
    expect(packets.push(at(5, false, 'b'))).toBeNull();
    expect(packets.push(at(6, true, 'b'))?.gap).toBe('clock');
    expect(packets.push(at(7, false, 'b'))?.gap).toBeNull();
  });

  it('leave out what comes twice when a file is opened again, and what a connection before still sends', () => {
    const packets = ring(10_000, 60);
    for (const second of [0, 1, 2]) packets.push(at(second));
    packets.push(opened('b', 'reopened'));
    expect(packets.push(at(3))).toBeNull();
    expect(packets.push(at(2, true, 'b'))).toBeNull();
    expect(packets.push(at(3, true, 'b'))?.gap).toBe('reopened');
    expect(secondsOf(packets.since(0))).toEqual([0, 1, 2, 3]);
  });
});
