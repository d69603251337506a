import { describe, expect, it } from 'vitest';
import { filterResult } from '../../../../src/after/sinks/filter-result.ts';
import { ResultSinks } from '../../../../src/after/sinks/result-sinks.ts';
import type { Sink } from '../../../../src/after/sinks/sink.ts';
import type { FilterConfig } from '../../../../src/after/sinks/sink-settings.ts';
import type { Detection } from '../../../../src/base/core/detection.ts';
import type { InFlightFrame } from '../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { frameOf, person } from './frames.ts';

const car: Detection = { classId: 2, label: 'car', score: 0.6, box: [0, 0, 9, 9] };
const crossing = { lineId: 'door', trackId: 7, label: 'person', direction: 'left-to-right', ptsUs: 0 } as const;
const frame = { ...frameOf(0, [person, car]), crossings: [crossing], zones: [{ id: 'yard', inside: 2 }] };
const all: FilterConfig = { frames: 'all' };

describe('the filter of a sink', () => {
  it('leaves a result as it is if nothing is to be removed', () => {
    for (const filter of [all, { ...all, labels: ['car', 'person'] }, { ...all, minScore: 0.6 }])
      expect(filterResult(frame, filter)).toBe(frame);
  });

  it('removes detections and crossings of other classes, and detections below a score, but no counts of zones', () => {
    expect(filterResult(frame, { ...all, labels: ['car'] })).toEqual({ ...frame, detections: [car], crossings: [] });
    expect(filterResult(frame, { ...all, minScore: 0.61 })).toEqual({ ...frame, detections: [person] });
    expect(filterResult(frame, { ...all, minScore: 0.7, labels: ['car'] })).toEqual({
      ...frame,
      detections: [],
      crossings: [],
    });
  });

  it('leaves out frames without any wanted detection or crossing', () => {
    const cars = { labels: ['car'] };
    expect(filterResult(frame, { frames: 'detections', minScore: 0.95 })).toBeNull();
    expect(filterResult(frame, { frames: 'detections', ...cars })).toMatchObject({ detections: [car] });
    expect(filterResult(frame, { frames: 'crossings' })).toBe(frame);
    expect(filterResult(frame, { frames: 'crossings', ...cars })).toBeNull();
    expect(filterResult(frameOf(0, [person]), { frames: 'crossings' }), 'a stream without lines').toBeNull();
  });

  it('concerns only the sink that has it', () => {
    const seen: string[] = [];
    const sink = (id: string) =>
      ({
        id,
        drained: () => Promise.resolve(),
        close: () => Promise.resolve(),
        publish: ({ detections }) => {
          seen.push(`${id} ${detections.map(({ label }) => label).join()}`);
          return true;
        },
      }) as Partial<Sink> as Sink;
    const sinks = new ResultSinks([
      { sink: sink('cars'), streams: null, filter: { frames: 'all', labels: ['car'] } },
      { sink: sink('dogs'), streams: null, filter: { frames: 'detections', labels: ['dog'] } },
      { sink: sink('all'), streams: null },
    ]);
    expect(sinks.publish(frame, 'a.mp4', {} as InFlightFrame, true)).toBeNull();
    expect(seen).toEqual(['cars car', 'all person,car']);
  });

  it('is part of the pipeline file, and unknown keys of it are refused', () => {
    const parse = (filter: string) =>
      parsePipeline(
        `name: p\ndescription: p\nstreams: [{ id: a, source: a.mp4 }]\nsinks: [{ type: webhook, url: "http://127.0.0.1/", filter: ${filter} }]`,
        'p.yaml',
      );
    expect(parse('{ minScore: 0.5 }').sinks).toMatchObject([{ filter: { minScore: 0.5, frames: 'all' } }]);
    expect(() => parse('{ label: car }')).toThrow(/sinks\[0\]\.filter\.label: unknown key/);
    expect(() => parse('{ minScore: 2 }')).toThrow(/minScore: expected a number from 0 to 1/);
  });
});
