import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeWholeFile } from '../../disk/replace-file.ts';
import { buildReport } from './build-report.ts';
import { drawPlots } from './plots.ts';
import { renderHtml } from './render-html.ts';
import type { ReportInput } from './report-input.ts';
import { RESULT_FILE, resultOf } from './result-file.ts';

/**
 * Writes `report.html`, `report.md` with its drawings in `plots/`, `result.json` and `pareto.json` into a folder, which is made if it is
 * not there. Each file appears whole or not at all.
 *
 * @returns the paths of the files.
 * @throws the system's error; RangeError if the input names a measurement that it does not hold.
 */
export async function writeReport(folder: string, input: ReportInput): Promise<readonly string[]> {
  const draft = buildReport(input);
  const plots = await drawPlots(draft.specs);
  const files: readonly (readonly [name: string, content: string])[] = [
    ['report.html', renderHtml({ ...draft, plots })],
    ['report.md', `${draft.body.source}\n`],
    [RESULT_FILE, `${JSON.stringify(resultOf(input), null, 2)}\n`],
    ['pareto.json', `${JSON.stringify(paretoFile(input), null, 2)}\n`],
    ...[...plots].map(([name, { wide }]) => [join('plots', `${name}.svg`), `${wide}\n`] as const),
  ];
  for (const [name, content] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeWholeFile(join(folder, name), content);
  }
  return files.map(([name]) => join(folder, name));
}

/** The Pareto front for programs. AP is null where it was not measured. */
function paretoFile({ subject, createdAt, seed, machine, baseline, best, pareto }: ReportInput): object {
  return {
    ...{ subject, createdAt, seed, machine },
    baseline: { configuration: baseline.configuration, measurement: baseline.measurement },
    best: { configuration: best.configuration, measurement: best.measurement },
    points: pareto,
  };
}
