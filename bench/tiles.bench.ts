import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { CliIo } from '../src/cli/cli-io.ts';
import { type Evaluation, evaluateModel } from '../src/cli/evaluate-model.ts';
import { readAnnotations } from '../src/network/evaluate/coco-files.ts';
import type { BenchContext } from './support/bench-context.ts';
import { benchStreams, measureOnce, OFFLINE } from './support/bench-runtime.ts';
import { fps } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const MODELS = ['yolox-nano', 'centernet'] as const;
/** Null: the picture as a whole. */
const GRIDS = [null, '2x2', '3x2'] as const;

interface TilesRun {
  readonly evaluation: Evaluation;
  /** Model inputs of one picture: the tiles, and the whole. */
  readonly inputs: number;
  /** Frames per second of the clip read as a file. */
  readonly clipFps: number;
}

/** What tiles find, and what they cost: average precision on COCO pictures, speed on the clip. */
export const tiles: Section = {
  id: 'tiles',
  title: 'Tiles for small objects',
  async run(context): Promise<SectionResult> {
    const pictures = join(context.sharedDir, 'coco-val-100');
    if (!existsSync(pictures)) return skipped(`skipped: no COCO pictures at ${pictures}`);
    const annotations = await readAnnotations(join(pictures, 'instances.json'));
    const runs: TilesRun[] = [];
    for (const model of MODELS)
      for (const grid of GRIDS) {
        context.note(`${model}, ${grid ?? 'whole'}`);
        const flags = { model, engine: 'auto', images: join(pictures, 'images'), resizeBy: 'sharp' } as const;
        const { evaluation } = await evaluateModel(
          { ...flags, ...(grid === null ? {} : { tiles: grid }) },
          annotations,
          ioOf(context),
        );
        const [columns = 1, rows = 1] = grid?.split('x').map(Number) ?? [];
        const streams = await benchStreams(context, 1, {
          ...OFFLINE,
          ...(grid === null ? {} : { tiles: { columns, rows } }),
        });
        const { fps: clipFps } = await measureOnce(context, { name: model }, streams);
        runs.push({ evaluation, inputs: grid === null ? 1 : columns * rows + 1, clipFps });
      }
    return {
      tables: [tableOf(runs)],
      targets: [],
      notes: [
        'AP on 100 pictures of COCO val2017, tiles with an overlap of 0.2 and the picture as a whole beside them. ' +
          'Frames per second: one stream of the clip read as a file.',
      ],
      data: runs,
    };
  },
};

function skipped(note: string): SectionResult {
  return { tables: [], targets: [], notes: [note], data: null };
}

/** The commands' surroundings, as far as measuring average precision needs them. */
function ioOf({ environment, note }: BenchContext): CliIo {
  const write = (text: Buffer, _encoding: string, done: () => void): void => {
    note(text.toString().trimEnd());
    done();
  };
  return {
    stdout: new Writable({ write }),
    stderr: new Writable({ write }),
    environment,
    stop: new AbortController().signal,
  };
}

function tableOf(runs: readonly TilesRun[]): SectionResult['tables'][number] {
  return {
    caption: 'pictures as a whole and in tiles',
    rows: [
      ['model', 'tiles', 'inputs', 'AP', 'APs', 'APm', 'APl', 'clip'],
      ...runs.map(({ evaluation: { model, tiles: grid, figures }, inputs, clipFps }) => {
        const ratios = ['AP', 'APs', 'APm', 'APl'].map((name) => figures[name]!.toFixed(3));
        return [model, grid ?? 'none', `${inputs}`, ...ratios, fps(clipFps)];
      }),
    ],
  };
}
