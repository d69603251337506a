import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchContext } from './support/bench-context.ts';
import { megabytes } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const STREAM_COUNTS = [1, 4, 16] as const;

interface MemoryRun {
  readonly streams: number;
  /** Engine loaded, no stream yet. */
  readonly emptyRssBytes: number;
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  readonly childRssBytes: number;
  readonly published: number;
}

/** Resident memory by number of streams, each in a fresh process. */
export const memory: Section = {
  id: 'memory',
  title: 'Memory',
  async run(context): Promise<SectionResult> {
    const runs: MemoryRun[] = [];
    for (const streams of STREAM_COUNTS) runs.push(await run(context, streams));
    return {
      tables: [
        {
          caption: `resident memory with ${context.model}, live streams of the clip`,
          rows: [
            ['streams', 'without streams', 'process', 'peak', 'ffmpeg children', 'per stream'],
            ...runs.map((r) => [
              String(r.streams),
              megabytes(r.emptyRssBytes),
              megabytes(r.rssBytes),
              megabytes(r.peakRssBytes),
              megabytes(r.childRssBytes),
              megabytes((r.rssBytes - r.emptyRssBytes + r.childRssBytes) / r.streams),
            ]),
          ],
        },
      ],
      targets: [],
      notes: ["Resident memory counts pages that the children share (ffmpeg's libraries) once per child."],
      data: runs,
    };
  },
};

async function run({ model, seconds }: BenchContext, streams: number): Promise<MemoryRun> {
  const entry = fileURLToPath(new URL('./memory.process.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [entry, String(streams), String(seconds), model]);
  return { streams, ...(JSON.parse(stdout) as Omit<MemoryRun, 'streams'>) };
}
