import { join } from 'node:path';
import { type Findings, findingsOf } from './findings.ts';
import { frontPage, headline } from './front-page.ts';
import { bottlenecksSection, gainsSection, triedSection } from './gains-section.ts';
import { hostsSection } from './hosts-section.ts';
import { blocks, type Markdown } from './markdown.ts';
import { drawPlots } from './plots.ts';
import { gateSection, qualitySection } from './quality-section.ts';
import { type Report, renderHtml } from './render-html.ts';
import type { ReportInput } from './report-input.ts';
import { RESULT_FILE, resultOf } from './result-file.ts';
import { roadmapSection } from './roadmap-section.ts';
import { timeSection } from './time-section.ts';
import { measurementsSection, validationSection } from './validation-section.ts';
import { writeFiles } from './write-files.ts';

/**
 * Makes the report of an optimisation: every sentence, table and plot follows from the input. A page for everybody comes first, the
 * rest is folded; of an invalid measurement only what was measured and what the gate said of the quality are left.
 *
 * @throws RangeError if the input names a measurement that it does not hold.
 */
export function buildReport(input: ReportInput): Report {
  const findings = findingsOf(input);
  const { outcome } = findings;
  return {
    title: headline(findings),
    tone: outcome === 'faster' ? 'good' : outcome === 'invalid' ? 'bad' : 'neutral',
    body: blocks(
      frontPage(findings),
      ...(outcome === 'invalid' ? [gateSection(findings)] : chapters(findings)),
      measurementsSection(findings),
    ),
  };
}

function chapters(findings: Findings): readonly Markdown[] {
  return [
    timeSection(findings),
    gainsSection(findings),
    ...(findings.hasChanged ? [qualitySection(findings)] : []),
    bottlenecksSection(findings),
    triedSection(findings),
    hostsSection(findings),
    roadmapSection(findings),
    validationSection(findings),
  ];
}

/**
 * Writes `report.html`, `report.md` with its drawings in `plots/`, `result.json` and `pareto.json` into a folder.
 *
 * @returns the paths of the files.
 * @throws as `writeFiles`; RangeError if the input names a measurement that it does not hold.
 */
export async function writeReport(folder: string, input: ReportInput): Promise<readonly string[]> {
  const report = buildReport(input);
  const plots = await drawPlots(report.body.plots);
  return writeFiles(folder, {
    'report.html': renderHtml(report, plots),
    'report.md': report.body.source,
    [RESULT_FILE]: resultOf(input),
    'pareto.json': paretoFile(input),
    ...Object.fromEntries([...plots].map(([name, { wide }]) => [join('plots', `${name}.svg`), wide])),
  });
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
