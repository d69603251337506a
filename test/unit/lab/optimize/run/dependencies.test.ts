import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTargets } from '../../../../../src/lab/measure/targets.ts';
import { dependenciesOf, leftAsideText, type RunGround } from '../../../../../src/lab/optimize/run/dependencies.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-depends-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function pipelineOf(source: string, more = ''): RunGround['pipeline'] {
  return parsePipeline(`name: p\ndescription: d\n${more}streams:\n  - id: a\n    source: ${source}\n`, 'p.yaml');
}

const annotations = { images: [], annotations: [], categories: [] } as unknown as NonNullable<
  RunGround['labels']
>['annotations'];

describe('what measurements depend on', () => {
  let base: RunGround;

  beforeAll(() => {
    const recording = file('a.mp4', 'pictures');
    base = {
      pipeline: pipelineOf(recording),
      recordings: [recording],
      labels: { annotations, folder, paths: [file('1.jpg', 'one')] },
      machine: { cpuModel: 'c', cores: 2, memoryBytes: 8, gpus: [], system: 'linux', versions: { openvino: '1' } },
      holdOut: null,
      sequences: [],
      targets: parseTargets('fps>=30'),
      seed: 1,
      byCpuTime: false,
    };
  });

  /** Names of what a change makes different, by kind. */
  async function changedBy(change: Partial<RunGround>): Promise<Record<string, string[]>> {
    const [first, second] = [await dependenciesOf(base), await dependenciesOf({ ...base, ...change })];
    return Object.fromEntries(
      (['trial', 'quality', 'capacity'] as const).map((kind) => [
        kind,
        Object.keys({ ...first(kind), ...second(kind) }).filter((name) => first(kind)[name] !== second(kind)[name]),
      ]),
    );
  }

  const everywhere = (name: string) => ({ trial: [name], quality: [name], capacity: [name] });

  it('is another way to measure by CPU time, but not to judge', async () => {
    expect(await changedBy({ byCpuTime: true })).toEqual({ trial: ['rate'], quality: [], capacity: ['rate'] });
  });

  it('is the same for the same recording at another place, under another name', async () => {
    const moved = join(folder, 'moved.mp4');
    copyFileSync(base.recordings[0]!, moved);
    const nothing = { trial: [], quality: [], capacity: [] };
    expect(await changedBy({ recordings: [moved], pipeline: pipelineOf(moved) })).toEqual(nothing);
  });

  it('names another recording of the same size', async () => {
    expect(await changedBy({ recordings: [file('b.mp4', 'Pictures')] })).toEqual(everywhere('recording'));
  });

  it('names another setting of the pipeline', async () => {
    const pipeline = pipelineOf(base.recordings[0]!, 'lanes: 3\n');
    expect(await changedBy({ pipeline })).toEqual(everywhere('pipeline'));
  });

  it.each([
    ['CPU', { cpuModel: 'd' }],
    ['cores', { cores: 3 }],
    ['memory', { memoryBytes: 9 }],
    ['GPU', { gpus: ['H100'] }],
  ])('names another machine by its %s', async (_, facts) => {
    expect(await changedBy({ machine: { ...base.machine, ...facts } })).toEqual(everywhere('machine'));
  });

  it('names another version of a program', async () => {
    const machine = { ...base.machine, versions: { openvino: '2' } };
    expect(await changedBy({ machine })).toEqual(everywhere('versions'));
  });

  it('names other labels and other pictures, of which only judgements of quality know', async () => {
    const only = { trial: [], quality: ['labels'], capacity: [] };
    const other = { ...annotations, images: [{ id: 1 }] } as unknown as typeof annotations;
    expect(await changedBy({ labels: { ...base.labels!, annotations: other } })).toEqual(only);
    expect(await changedBy({ labels: { ...base.labels!, paths: [file('2.jpg', 'two')] } })).toEqual(only);
    expect(await changedBy({ labels: null })).toEqual(only);
  });

  it('names other sequences, of which only judgements of quality know', async () => {
    const only = { trial: [], quality: ['sequences'], capacity: [] };
    const truth = { path: 'gt.txt', boxes: [], hasClasses: false, frames: 1 };
    const sequences = [{ folder, video: file('s.mp4', 'walk'), truth }];
    expect(await changedBy({ sequences })).toEqual(only);
    const first = (await dependenciesOf({ ...base, sequences }))('quality');
    const box = { frame: 1, id: 1, box: [0, 0, 9, 9] as const, score: 1, kind: 'evaluated' as const };
    for (const other of [
      { ...sequences[0]!, truth: { ...truth, boxes: [box] } },
      { ...sequences[0]!, video: file('t.mp4', 'run') },
    ])
      expect((await dependenciesOf({ ...base, sequences: [other] }))('quality')).not.toEqual(first);
  });

  it('names other targets where their verdicts are kept', async () => {
    const targets = parseTargets('fps>=60');
    expect(await changedBy({ targets })).toEqual({ trial: [], quality: [], capacity: ['targets'] });
  });

  it('reads as a sentence', () => {
    expect(leftAsideText({ count: 3, of: 7, because: { recording: 3, versions: 1 } })).toBe(
      '3 of 7 earlier measurements are not used and made again: 3 for another recording, 1 for another version of a program',
    );
  });
});
