import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MotSink } from '../../../../src/after/sinks/mot-sink.ts';

describe('a file of tracks', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-mot-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const path = (): string => join(folder, 'r.mot.txt');
  const open = (): MotSink =>
    new MotSink({ id: '--out', path: path(), onFailure: (error) => expect.unreachable(error.message) });
  const found = { classId: 0, label: 'person', score: 0.912_345, box: [1.234_567, 2, 30, 40] };

  it('has a line for each tracked object, with frames from 1', async () => {
    const sink = open();
    sink.publish({ frame: 0, detections: [found, { ...found, trackId: 7 }] } as never, 'a.mp4');
    sink.publish({ frame: 1, detections: [] } as never, 'a.mp4');
    sink.publish({ frame: 2, detections: [{ ...found, trackId: 8 }] } as never, 'a.mp4');
    await sink.close();
    const rest = '1.23,2.00,30.00,40.00,0.9123,-1,-1,-1\n';
    expect(readFileSync(path(), 'utf8')).toBe(`1,7,${rest}3,8,${rest}`);
    expect(readdirSync(folder)).toEqual(['r.mot.txt']);
  });

  it('keeps the whole lines of a run that was killed', async () => {
    writeFileSync(join(folder, 'r.mot.partial.txt'), '1,7,1,2,3,4,0.9,-1,-1,-1\n2,7,1,2');
    const sink = open();
    sink.publish({ frame: 0, detections: [{ ...found, trackId: 1 }] } as never, 'a.mp4');
    await sink.close();
    const kept = readdirSync(folder).find((name) => name.includes('recovered'));
    expect(readFileSync(join(folder, kept!), 'utf8')).toBe('1,7,1,2,3,4,0.9,-1,-1,-1\n');
  });
});
