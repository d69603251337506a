import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CleanCuts, type CutList } from '../../../../src/frame/decode/clean-cuts.ts';
import type { Packet } from '../../../../src/frame/decode/packet-rows.ts';

/** Frame numbers in decoding order, 40 ms apart; `K` before a number marks a key frame. */
function choose(
  order: string,
  distanceUs: number,
  change: (packet: Packet) => Packet = (packet) => packet,
  tapers = false,
): CutList | null {
  const finder = new CleanCuts(distanceUs);
  for (const text of order.split(' ')) {
    const ptsUs = Number(text.replace('K', '')) * 40_000;
    finder.add(change({ ptsUs, isKey: text.startsWith('K'), isReordered: true, isOdd: false }));
  }
  return finder.choose(tapers);
}

const CLOSED = 'K0 3 1 2 6 4 5 K7 10 8 9 13 11 12 K14 17 15 16';
/** Frames 5 and 6 are decoded after key frame 7 and presented before it. */
const OPEN = 'K0 3 1 2 4 K7 5 6 10 8 9 K14 13 11 12 17 15 16';

describe('CleanCuts', () => {
  it('cuts at key frames that no later packet precedes in presentation order', () => {
    expect(choose(CLOSED, 200_000)).toMatchObject({
      frames: 18,
      cuts: [
        { atUs: 280_000, frame: 7 },
        { atUs: 560_000, frame: 14 },
      ],
    });
  });

  it('never cuts at an open GOP', () => {
    expect(choose(OPEN, 40_000)).toBeNull();
  });

  it('cuts at the target distance or slightly later, and leaves no short last segment', () => {
    const everyFrame = Array.from({ length: 100 }, (_, i) => `K${i}`).join(' ');
    expect(choose(everyFrame, 1_000_000)!.cuts.map(({ frame }) => frame)).toEqual([25, 50, 75]);
    expect(choose(everyFrame, 1_300_000)!.cuts.map(({ frame }) => frame)).toEqual([34, 68]);
    expect(choose(everyFrame, 2_800_000)).toBeNull();
  });

  it('makes tapering segments shorter towards the end, down to an eighth', () => {
    const everyFrame = Array.from({ length: 100 }, (_, i) => `K${i}`).join(' ');
    const { cuts, frames } = choose(everyFrame, 800_000, undefined, true)!;
    const ends = [...cuts.map(({ frame }) => frame), frames];
    expect(ends.map((end, i) => end - (ends[i - 1] ?? 0))).toEqual([20, 20, 15, 11, 9, 6, 5, 4, 3, 3, 4]);
  });

  it('reports the shortest stretch between two possible cuts', () => {
    expect(choose('K0 1 2 K3 4 K5 6 7 8 9 K10 11 12 13', 80_000)!.shortest).toEqual({
      from: { atUs: 120_000, frame: 3 },
      to: { atUs: 200_000, frame: 5 },
      frames: 2,
    });
  });

  it.each([
    ['begins without a key frame', CLOSED.replace('K0', '0')],
    ['shows two frames at the same time', CLOSED.replace('15', '17')],
    ['goes back in time', CLOSED.replace('16', '2')],
    ['has the same time on both sides of a key frame', 'K0 1 2 K3 2 4 5 K6 7 8'],
  ])('does not split a file that %s', (_, order) => {
    expect(choose(order, 200_000)).toBeNull();
  });

  it.each([
    ['without a time', { ptsUs: null }],
    ['that is damaged or hidden', { isOdd: true }],
  ])('does not split a file with a packet %s', (_, oddity) => {
    expect(
      choose(CLOSED, 200_000, (packet) => (packet.ptsUs === 360_000 ? { ...packet, ...oddity } : packet)),
    ).toBeNull();
  });

  it('reports whether the container has reordered frames', () => {
    expect(choose(CLOSED, 200_000)!.isReordered).toBe(true);
    expect(choose(CLOSED, 200_000, (packet) => ({ ...packet, isReordered: false }))!.isReordered).toBe(false);
  });

  it('keeps presentation order across every cut, for any decoding order', () => {
    const packets = fc.array(fc.record({ delay: fc.constantFrom(0, 0, 0, 1, 2, 3), isKey: fc.boolean() }), {
      minLength: 8,
      maxLength: 60,
    });
    let cutCount = 0;
    fc.assert(
      fc.property(packets, fc.boolean(), (list, isTapered) => {
        const finder = new CleanCuts(2);
        // Each frame is presented after its own delay; no two at the same time.
        const shown = list.map(({ delay }, i) => ({ i, at: i + delay })).sort((a, b) => a.at - b.at || b.i - a.i);
        const times = list.map((_, i) => shown.findIndex((frame) => frame.i === i));
        times.forEach((ptsUs, i) => {
          finder.add({ ptsUs, isKey: i === 0 || list[i]!.isKey, isReordered: true, isOdd: false });
        });
        for (const { atUs, frame } of finder.choose(isTapered)?.cuts ?? []) {
          cutCount += 1;
          expect(times.slice(0, frame).every((us) => us < atUs)).toBe(true);
          expect(times.slice(frame).every((us) => us >= atUs)).toBe(true);
          expect(times[frame]).toBe(atUs);
        }
      }),
      { numRuns: 1000 },
    );
    expect(cutCount).toBeGreaterThan(300);
  });

  it('keeps few possible cuts of a file in which every frame is a key frame', () => {
    const finder = new CleanCuts(100_000_000);
    for (let i = 0; i < 200_000; i++) finder.add({ ptsUs: i * 1000, isKey: true, isReordered: false, isOdd: false });
    expect(finder.choose(false)).toMatchObject({ frames: 200_000, cuts: [{ frame: 100_000 }] });
  });
});
