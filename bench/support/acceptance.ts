import { readFileSync } from 'node:fs';

/** What a step of the acceptance found: a line of the table in README.md. */
export interface AcceptanceRow {
  readonly what: string;
  readonly figure: string;
  /** Null if nothing is demanded of it. */
  readonly isMet: boolean | null;
}

/** Runs a program to its end. */
export type Ask = (program: string, args: readonly string[], limitMs: number) => Promise<Asked>;
export interface Asked {
  /** Null if it was ended because its time was over. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface AcceptanceFiles {
  /** COCO annotations and the folder of their pictures; null if none are given. */
  readonly annotations: string | null;
  readonly images: string | null;
  /** A clip in H.264, which NVDEC decodes; null if there is none. */
  readonly clip: string | null;
  readonly ffmpeg: string;
}

interface Step {
  readonly what: string;
  /** It ends by itself long before. */
  readonly limitS: number;
  run(ask: (program: string, args: readonly string[]) => Promise<string>): Promise<readonly AcceptanceRow[]>;
}

/** `sightline`, as it is compiled. */
const CLI = 'dist/workers/sightline.process.js';
const NODE = process.execPath;
const ON_GPU = ['--engine', 'tensorflow', '--provider', 'cuda'];
const STREAMS = [1, 2, 4, 8, 16, 32, 64];
/** A camera of the demonstration clip has 25 frames a second; one that gets fewer than these is not served. */
const SERVED_FPS = 24;
/** `auto` computes in f16 where it costs no more (docs/engines.md). */
const MOST_F16_LOSS = 0.005;

class NotRun extends Error {}

/** The steps, in the order in which they are run: what the rest needs first, then what takes longest last. */
export function acceptanceSteps({ annotations, images, clip, ffmpeg }: AcceptanceFiles): readonly Step[] {
  return [
    {
      what: 'set-up of TensorFlow with CUDA',
      limitS: 300,
      async run(ask) {
        await ask(NODE, [CLI, 'setup', 'tensorflow', '--gpu']);
        return [{ what: this.what, figure: 'done', isMet: true }];
      },
    },
    {
      what: 'conformance of engines',
      limitS: 90,
      async run(ask) {
        const output = await ask(NODE, [
          ...['node_modules/vitest/vitest.mjs', 'run', '--maxWorkers=2', 'test/conformance/engines.test.ts'],
          ...['test/integration/tensorflow-engine.test.ts', '--reporter=json'],
        ]);
        const { numPassedTests, numPendingTests } = JSON.parse(output.slice(output.indexOf('{')));
        return [{ what: this.what, figure: `${numPassedTests} passed, ${numPendingTests} skipped`, isMet: true }];
      },
    },
    {
      what: 'AP50-95, f32 and f16',
      limitS: 120,
      async run(ask) {
        if (annotations === null || images === null) throw new NotRun('needs --annotations and --images');
        const ap: number[] = [];
        for (const precision of ['f32', 'f16']) {
          const flags = [...ON_GPU, '--precision', precision, '--json'];
          const { models } = JSON.parse(await ask(NODE, [CLI, 'eval', annotations, '--images', images, ...flags]));
          ap.push(models[0].figures.AP);
        }
        const [f32, f16] = ap as [number, number];
        const figure = `${f32.toFixed(3)} and ${f16.toFixed(3)}`;
        return [{ what: this.what, figure, isMet: f32 - f16 <= MOST_F16_LOSS }];
      },
    },
    {
      what: 'NVDEC',
      limitS: 60,
      async run(ask) {
        if (clip === null) throw new NotRun('needs --clip, a video in H.264');
        const rate = async (input: readonly string[]): Promise<number> => {
          const output = ['-an', '-f', 'null', '-'];
          const progress = await ask(ffmpeg, ['-nostdin', '-progress', 'pipe:1', ...input, '-i', clip, ...output]);
          const last = (key: string): number =>
            Number([...progress.matchAll(new RegExp(`^${key}=(.+)$`, 'gm'))].at(-1)![1]);
          return last('fps') > 0 ? last('fps') : last('frame');
        };
        const [software, hardware] = [
          await rate([]),
          await rate(['-hwaccel', 'cuda', '-hwaccel_output_format', 'cuda']),
        ];
        const figure = `${hardware.toFixed(0)} frames/s, software ${software.toFixed(0)}`;
        return [{ what: 'NVDEC, frames stay on the GPU', figure, isMet: null }];
      },
    },
    {
      what: 'FP32 against FP16, batches of 1 to 32',
      limitS: 180,
      async run(ask) {
        const output = await ask(NODE, ['dist/bench/gpu-run.js', '--seconds', '1', '--dense']);
        const [, path] = /^written: (.+)$/m.exec(output)!;
        interface Dense {
          readonly network: string;
          readonly batchSize: number;
          readonly precision: 'f32' | 'f16';
          readonly run: { readonly fps: number };
        }
        const report = JSON.parse(readFileSync(path!, 'utf8')) as {
          sections: { result: { data: readonly Dense[] } }[];
        };
        const runs = report.sections[0]!.result.data;
        return runs
          .filter(({ precision }) => precision === 'f32')
          .map(({ network, batchSize, run: { fps } }) => {
            const half = runs.find(
              (each) => each.network === network && each.batchSize === batchSize && each.precision === 'f16',
            );
            const f16 =
              half === undefined
                ? '*not run*'
                : `${half.run.fps.toFixed(0)} (${(half.run.fps / fps).toFixed(2)} times)`;
            return {
              what: `${network}, batch ${batchSize}, f32 and f16`,
              figure: `${fps.toFixed(0)} and ${f16} frames/s`,
              isMet: null,
            };
          });
      },
    },
    ...STREAMS.map(
      (streams): Step => ({
        what: `${streams} ${streams === 1 ? 'stream' : 'streams'} in real time`,
        limitS: 40,
        async run(ask) {
          const flags = [...ON_GPU, '--streams', `${streams}`, '--realtime', '--seconds', '10', '--json'];
          const { streams: measured, latencyMs, dropRatio } = JSON.parse(await ask(NODE, [CLI, 'bench', ...flags]));
          const least = Math.min(...measured.map(({ fps }: { fps: number }) => fps));
          const figure = `${least.toFixed(1)} frames/s at least, p99 ${latencyMs.p99.toFixed(0)} ms, ${(dropRatio * 100).toFixed(1)} % dropped`;
          return [{ what: this.what, figure, isMet: least >= SERVED_FPS }];
        },
      }),
    ),
  ];
}

/**
 * Runs the steps within the time that all of them have. A step that fails, takes too long or finds no time left is a line of its own;
 * the others go on, except without the set-up.
 */
export async function accept(
  steps: readonly Step[],
  { ask, nowMs, budgetMs, note }: { ask: Ask; nowMs: () => number; budgetMs: number; note: (text: string) => void },
): Promise<readonly AcceptanceRow[]> {
  const endMs = nowMs() + budgetMs;
  const rows: AcceptanceRow[] = [];
  for (const [i, step] of steps.entries()) {
    note(step.what);
    const limitMs = Math.min(step.limitS * 1000, endMs - nowMs());
    const untilMs = nowMs() + limitMs;
    const answer = async (program: string, args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await ask(program, args, Math.max(0, untilMs - nowMs()));
      if (code === null) throw new NotRun(`it did not end within ${Math.round(limitMs / 1000)} s`);
      if (code !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `exit code ${code}`);
      return stdout;
    };
    try {
      if (limitMs <= 0) throw new NotRun('no time was left');
      rows.push(...(await step.run(answer)));
    } catch (error) {
      const { message } = error as Error;
      rows.push(
        error instanceof NotRun
          ? { what: step.what, figure: `*not run*: ${message}`, isMet: null }
          : { what: step.what, figure: `failed: ${message}`, isMet: false },
      );
      if (i === 0) return [...rows, ...notRun(steps.slice(1))];
    }
  }
  return rows;
}

/** The table of a machine on which nothing can be run. */
export function notRun(steps: readonly Step[]): readonly AcceptanceRow[] {
  return steps.map(({ what }) => ({ what, figure: '*not run*', isMet: null }));
}

/** The table for README.md, in Markdown. */
export function acceptanceTable(rows: readonly AcceptanceRow[]): string {
  const verdict = ({ isMet }: AcceptanceRow): string => (isMet === null ? '' : isMet ? 'met' : '**not met**');
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  return [
    '| what | figure | verdict |',
    '|---|---|---|',
    ...rows.map((row) => `| ${cell(row.what)} | ${cell(row.figure)} | ${verdict(row)} |`),
  ].join('\n');
}
