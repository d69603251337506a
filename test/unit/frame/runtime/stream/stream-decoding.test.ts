import { describe, expect, it } from 'vitest';
import { StreamDecoding } from '../../../../../src/frame/runtime/stream/stream-decoding.ts';

describe('StreamDecoding', () => {
  it('adds up what the connections of a stream report', () => {
    const decoding = new StreamDecoding();
    decoding.onMessage({ type: 'decode-errors', ringId: 1, count: 2 });
    decoding.onMessage({ type: 'decode-errors', ringId: 2, count: 3 });
    decoding.onMessage({ type: 'not-decoded', ringId: 1, count: 40 });
    decoding.onMessage({ type: 'not-decoded', ringId: 2, count: 2 });
    expect(decoding.errors).toBe(5);
    expect(decoding.report({ decode: 'key' })).toEqual({ decode: { frames: 'key', skipped: 42 } });
    expect(decoding.report({ decode: 'all' })).toEqual({});
  });

  it('knows no count once a connection could not tell it', () => {
    const decoding = new StreamDecoding();
    decoding.onMessage({ type: 'not-decoded', ringId: 1, count: 40 });
    decoding.onMessage({ type: 'not-decoded', ringId: 1, count: null });
    decoding.onMessage({ type: 'not-decoded', ringId: 2, count: 7 });
    expect(decoding.report({ decode: 'reference' })).toEqual({ decode: { frames: 'reference', skipped: null } });
  });

  it('knows the rate of key frames from their distance', () => {
    const decoding = new StreamDecoding();
    expect(decoding.keyFps).toBeNull();
    decoding.onMessage({ type: 'key-gap', ringId: 1, us: 4_000_000, isEachFrame: true, frames: 1 });
    expect([decoding.keyFps, decoding.keyShare, decoding.hasKeyFramesOnly]).toEqual([0.25, 1, true]);
  });
});
