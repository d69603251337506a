import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CsvSink } from '../../../../src/after/sinks/csv-sink.ts';
import type { PtsUs } from '../../../../src/base/core/units.ts';

const HEADER = 'source,frame,ptsUs,width,height,by,classId,label,score,x,y,boxWidth,boxHeight,trackId';

describe('a CSV file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-csv-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (): CsvSink =>
    new CsvSink({ id: '--out', path: join(folder, 'r.csv'), onFailure: (error) => expect.unreachable(error.message) });
  const frame = (n: number, detections: object[]) =>
    ({
      streamId: 's',
      frame: n,
      ptsUs: (n * 40_000) as PtsUs,
      width: 640,
      height: 480,
      by: 'inferred',
      detections,
    }) as never;

  it('has a line for each detection, and quotes what RFC 4180 says', async () => {
    const sink = open();
    sink.publish(frame(0, []), 'a.mp4');
    const found = { classId: 2, label: 'box, "open"', score: 0.912_345, box: [1.234_567, 2, 30, 40] };
    sink.publish(frame(1, [found, { ...found, label: 'car', trackId: 7 }]), 'b,1.mp4');
    await sink.close();
    expect(readFileSync(join(folder, 'r.csv'), 'utf8').split('\n')).toEqual([
      HEADER,
      '"b,1.mp4",1,40000,640,480,inferred,2,"box, ""open""",0.9123,1.23,2,30,40,',
      '"b,1.mp4",1,40000,640,480,inferred,2,car,0.9123,1.23,2,30,40,7',
      '',
    ]);
  });

  it('has a column for each attribute that second stages give', async () => {
    const options = { id: '--out', path: join(folder, 'r.csv'), attributes: ['colour', 'plate'] };
    const sink = new CsvSink({ ...options, onFailure: (error) => expect.unreachable(error.message) });
    const car = { classId: 2, label: 'car', score: 0.9, box: [1, 2, 30, 40], trackId: 7 };
    const attributes = { colour: { label: 'red', score: 1, atUs: 0 }, other: { label: 'x', score: 1, atUs: 0 } };
    const plate = { plate: { label: 'A,B', score: 1, atUs: 0 } };
    sink.publish(frame(0, [car, { ...car, attributes }, { ...car, attributes: plate }]), 'a.mp4');
    await sink.close();
    const place = 'a.mp4,0,0,640,480,inferred,2,car,0.9,1,2,30,40,7';
    expect(readFileSync(join(folder, 'r.csv'), 'utf8').split('\n')).toEqual([
      `${HEADER},attributes.colour,attributes.plate`,
      ...[`${place},,`, `${place},red,`, `${place},,"A,B"`, ''],
    ]);
  });

  it('without a detection has only its header', async () => {
    await open().close();
    expect(readFileSync(join(folder, 'r.csv'), 'utf8')).toBe(`${HEADER}\n`);
  });

  it('that is incomplete keeps its partial name, and leaves an earlier one as it is', async () => {
    writeFileSync(join(folder, 'r.csv'), 'earlier');
    const sink = open();
    sink.publish(frame(0, [{ classId: 0, label: 'car', score: 1, box: [0, 0, 1, 1] }]), 'a.mp4');
    await sink.close(false);
    expect(readdirSync(folder).sort()).toEqual(['r.csv', 'r.partial.csv']);
    expect(readFileSync(join(folder, 'r.csv'), 'utf8')).toBe('earlier');
  });
});
