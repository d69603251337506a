import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { PtsUs } from '../../../../src/base/core/units.ts';
import { FrameAssembler } from '../../../../src/frame/decode/frame-assembler.ts';

const BYTES = 12;

function line(n: number) {
  return { ptsUs: (n * 40_000) as PtsUs, width: 4, height: n + 1 };
}

/** An assembler with enough memory, and its output. */
function bench() {
  const pictures: Uint8Array[] = [];
  const frames: { owner: number; ptsUs: number; isInOrder: boolean }[] = [];
  const assembler = new FrameAssembler<number>(
    () => {
      pictures.push(new Uint8Array(BYTES));
      return { bytes: pictures.at(-1)!, owner: pictures.length - 1 };
    },
    ({ owner, header: { ptsUs }, captured, decoded }) => frames.push({ owner, ptsUs, isInOrder: captured <= decoded }),
  );
  return { assembler, pictures, frames };
}

/** Writes like ffmpeg's pipe: as many bytes as fit, at most `count`. */
function write(assembler: FrameAssembler<number>, value: number, count: number): number {
  const buffer = assembler.nextBuffer()!;
  const bytes = Math.min(count, buffer.length);
  buffer.fill(value, 0, bytes);
  assembler.onBytes(bytes);
  return bytes;
}

describe('FrameAssembler', () => {
  it('pairs the n-th picture with the n-th line, for any order and chunks of arrival', () => {
    const step = fc.oneof(fc.constant('line' as const), fc.integer({ min: 1, max: 30 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { assembler, pictures, frames } = bench();
        let written = 0;
        let lines = 0;
        for (const what of steps) {
          if (what === 'line') assembler.onHeader(line(lines++));
          else written += write(assembler, Math.floor(written / BYTES) + 1, what);
          expect(frames.length).toBe(Math.min(lines, Math.floor(written / BYTES)));
        }
        frames.forEach(({ owner, ptsUs, isInOrder }, n) => {
          expect([owner, ptsUs, isInOrder]).toEqual([n, n * 40_000, true]);
          expect(pictures[n]!.every((byte) => byte === n + 1)).toBe(true);
        });
        const waiting = assembler.abandon();
        const begun = Math.ceil(written / BYTES);
        expect(waiting).toEqual(Array.from({ length: begun - frames.length }, (_, i) => frames.length + i));
      }),
    );
  });

  it('dates a frame from its header line or its first bytes, whichever came first', () => {
    const times: { captured: number; decoded: number }[] = [];
    const memory = new Uint8Array(BYTES);
    const assembler = new FrameAssembler<string>(
      () => ({ bytes: memory, owner: 'a' }),
      ({ captured, decoded }) => times.push({ captured, decoded }),
    );
    const now = vi.spyOn(performance, 'now');
    const at = (ms: number, happen: () => void): void => {
      now.mockReturnValue(ms);
      happen();
    };
    at(10, () => assembler.onHeader(line(0)));
    at(20, () => assembler.onBytes(assembler.nextBuffer()!.length));
    at(30, () => {
      assembler.nextBuffer();
      assembler.onBytes(1);
    });
    at(40, () => assembler.onHeader(line(1)));
    at(50, () => assembler.onBytes(assembler.nextBuffer()!.length));
    now.mockRestore();
    const from = performance.timeOrigin;
    expect(times).toEqual([
      { captured: from + 10, decoded: from + 20 },
      { captured: from + 30, decoded: from + 50 },
    ]);
  });

  it('asks again for memory after there was none', () => {
    let isThere = false;
    const memory = new Uint8Array(BYTES);
    const owners: string[] = [];
    const assembler = new FrameAssembler<string>(
      () => (isThere ? { bytes: memory, owner: 'a' } : null),
      ({ owner }) => owners.push(owner),
    );
    expect(assembler.nextBuffer()).toBeNull();
    isThere = true;
    expect(assembler.nextBuffer()).toHaveLength(BYTES);
    assembler.onBytes(BYTES);
    assembler.onHeader(line(0));
    expect(owners).toEqual(['a']);
  });

  it('rejects bytes for which it gave no memory', () => {
    const assembler = new FrameAssembler<string>(
      () => null,
      () => undefined,
    );
    expect(() => assembler.onBytes(1)).toThrow(RangeError);
  });

  it('starts clean after abandon()', () => {
    const { assembler, frames } = bench();
    write(assembler, 1, 5);
    assembler.onHeader(line(0));
    expect(assembler.abandon()).toEqual([0]);
    write(assembler, 2, BYTES);
    expect(frames).toEqual([]);
    assembler.onHeader(line(7));
    expect(frames.map(({ owner, ptsUs }) => [owner, ptsUs])).toEqual([[1, 280_000]]);
  });
});
