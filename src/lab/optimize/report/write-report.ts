import { html } from '../../measure/report/html.ts';
import { reportPage } from '../../measure/report/report-page.ts';
import { writeFiles } from '../../measure/report/write-files.ts';
import { details } from './details.ts';
import { findingsOf } from './findings.ts';
import { firstScreenOf } from './first-screen.ts';
import type { ReportInput } from './report-input.ts';
import { reportText } from './report-text.ts';
import { RESULT_FILE, resultOf } from './result-file.ts';
import { firstScreen } from './screen-page.ts';

/**
 * Writes `report.html`, `report.md`, which is its first screen, `result.json` and `pareto.json` into a folder. Each sentence, table and drawing
 * follows from the input.
 *
 * @returns the paths of the files.
 * @throws as `writeFiles`; RangeError if the input names a measurement that it does not hold.
 */
export async function writeReport(folder: string, input: ReportInput): Promise<readonly string[]> {
  const findings = findingsOf(input);
  const screen = firstScreenOf(findings);
  const body = html`${firstScreen(screen)}\n${details(findings)}`;
  return writeFiles(folder, {
    'report.html': reportPage({ title: screen.headline, tone: screen.tone, body }),
    'report.md': reportText(screen),
    [RESULT_FILE]: resultOf(input),
    'pareto.json': paretoFile(input),
  });
}

/** The Pareto front for programs. AP is null where it was not measured. */
function paretoFile({ subject, createdAt, seed, machine, baseline, best, pareto }: ReportInput): object {
  return {
    subject,
    createdAt,
    seed,
    machine,
    baseline: { configuration: baseline.configuration, measurement: baseline.measurement },
    best: { configuration: best.configuration, measurement: best.measurement },
    points: pareto,
  };
}
