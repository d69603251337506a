import { describe, expect, it } from 'vitest';
import { MaskReaders } from '../../../../../src/frame/runtime/results/mask-readers.ts';

function readers(inputs: Readonly<Record<string, object>> = {}, sinkReads: readonly string[] = [], config = {}) {
  const sinks = { reads: (id: string) => sinkReads.includes(id) };
  const settings = { zones: [], ...config };
  return new MaskReaders(sinks, (id) => inputs[id] && { input: inputs[id], config: settings });
}

describe('masks are made', () => {
  it('of no stream that nobody reads', () => {
    expect(readers({ door: {} }).has('door')).toBe(false);
  });

  it('of streams whose results a sink gets, unless they are kept from sinks', () => {
    const masks = readers({ door: {}, yard: {}, trial: { isKeptFromSinks: true } }, ['door', 'trial']);
    expect(['door', 'trial', 'yard'].map((id) => masks.has(id))).toEqual([true, false, false]);
  });

  it('of streams that a page or a client of the feed watches, until it leaves', () => {
    const masks = readers();
    masks.watch('previews', new Set(['door']));
    masks.watch('detections', new Set(['yard']));
    expect(['door', 'yard', 'gate'].map((id) => masks.has(id))).toEqual([true, true, false]);
    masks.watch('previews', new Set());
    expect([masks.has('door'), masks.isWatched('previews', 'door')]).toEqual([false, false]);
  });

  it('of all streams that a program reads, of jobs, and of pictures that are handed over', () => {
    const masks = readers({ job: { bulk: {} }, pictures: { feed: {} } });
    expect(['job', 'pictures', 'door'].map((id) => masks.has(id))).toEqual([true, true, false]);
    masks.watch('program', null);
    expect(masks.has('door')).toBe(true);
  });

  it('of streams with a zone that goes by the foot of the mask', () => {
    const zone = { id: 'yard', polygon: [], anchor: 'mask-foot' };
    expect(readers({ door: {} }, [], { zones: [zone] }).has('door')).toBe(true);
    expect(readers({ door: {} }, [], { zones: [{ ...zone, anchor: 'center' }] }).has('door')).toBe(false);
  });
});
