import { percent } from './support/format.ts';
import { liveRun, stagesTable } from './support/live-run.ts';
import type { Section, SectionResult } from './support/section.ts';

/** Measures latency by stage for live streams on a machine with spare capacity. */
export const halfLoad: Section = {
  id: 'half-load',
  title: 'Live streams at half of the capacity',
  async run(context): Promise<SectionResult> {
    const run = await liveRun(context, 0.5);
    const { measured } = run;
    const busy = Object.entries(measured.busyRatio).map(([stage, ratio]) => `${stage} ${percent(ratio)}`);
    return {
      tables: [stagesTable(run)],
      targets: [
        {
          what: 'frames dropped',
          measured: measured.dropRatio,
          target: 0,
          want: 'exactly',
          unit: '',
        },
      ],
      notes: [`busy: ${busy.join(', ')}. Frames of several streams that arrive at the same time wait for each other.`],
      data: run,
    };
  },
};
