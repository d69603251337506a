import { describe, expect, it } from 'vitest';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';

const HEAD = 'name: a\ndescription: b\n';

/** The error message for a document, without the file name. */
function complaintOf(text: string): string {
  try {
    parsePipeline(text, 'p.yaml');
  } catch (error) {
    return (error as Error).message.replace(/^p\.yaml: /, '');
  }
  return 'accepted';
}

describe('region and tiles', () => {
  const stream = (settings: string): string => `${HEAD}streams: [{id: a, source: a.mp4, ${settings}}]`;

  it.each([
    [
      'a region that leaves the picture',
      'region: {x: 0.6, y: 0, width: 0.5, height: 1}',
      'streams[0].region: expected a rectangle inside the picture (x + width and y + height at most 1), received {"x":0.6,"y":0,"width":0.5,"height":1} (object)',
    ],
    [
      'a region in pixels',
      'region: {x: 10, y: 0, width: 0.5, height: 1}',
      'streams[0].region.x: expected a number from 0 to 1, received 10 (number)',
    ],
    [
      'a region of nothing',
      'region: {x: 0, y: 0, width: 0, height: 1}',
      'streams[0].region.width: expected a number from 0.01 to 1, received 0 (number)',
    ],
    [
      'a region without a height',
      'region: {x: 0, y: 0, width: 1}',
      'streams[0].region.height: expected a number from 0.01 to 1, received nothing',
    ],
    [
      'a region by another name',
      'region: lines',
      'streams[0].region: expected a section, or "zones", received "lines" (string)',
    ],
    [
      'the region of zones that are not there',
      'region: zones',
      'streams[0].region: expected a rectangle, since the stream has no zones, received "zones" (string)',
    ],
    [
      'no tiles',
      'tiles: {columns: 0, rows: 1}',
      'streams[0].tiles.columns: expected a whole number from 1 to 16, received 0 (number)',
    ],
    [
      'far too many tiles',
      'tiles: {columns: 17, rows: 17}',
      'streams[0].tiles.columns: expected a whole number from 1 to 16, received 17 (number); streams[0].tiles.rows: expected a whole number from 1 to 16, received 17 (number)',
    ],
    [
      'too many tiles',
      'tiles: {columns: 5, rows: 4}',
      'streams[0].tiles: expected at most 16 tiles (columns times rows), received {"columns":5,"rows":4} (object)',
    ],
    [
      'too much overlap',
      'tiles: {columns: 2, rows: 2, overlap: 0.6}',
      'streams[0].tiles.overlap: expected a number from 0 to 0.5, received 0.6 (number)',
    ],
  ])('refuse %s', (_, settings, message) => {
    expect(complaintOf(stream(settings))).toBe(message);
  });

  it('accept zones that are there, and the sums of decimals', () => {
    const zones = 'zones: [{id: z, polygon: [[0, 0], [1, 0], [1, 1]]}]';
    expect(complaintOf(stream(`region: zones, ${zones}`))).toBe('accepted');
    expect(complaintOf(stream('region: {x: 0.7, y: 0.9, width: 0.3, height: 0.1}'))).toBe('accepted');
  });

  it('have defaults: an overlap of a fifth, and the whole picture as well', () => {
    const { tiles } = parseStream({ id: 'a', source: 'a.mp4', tiles: { columns: 2, rows: 2 } }, {});
    expect(tiles).toEqual({ columns: 2, rows: 2, overlap: 0.2, whole: true });
  });

  it('can be set for all streams under defaults', () => {
    const text = `${HEAD}defaults: {tiles: {columns: 2, rows: 1}}\nstreams: [{id: a, source: a.mp4}]`;
    expect(parsePipeline(text, 'p.yaml').streams[0]!.tiles).toMatchObject({ columns: 2, rows: 1, whole: true });
  });
});
