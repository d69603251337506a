import { type Findings, findingsOf } from './findings.ts';
import { frontPage, headline } from './front-page.ts';
import { bottlenecksSection, gainPlots, gainsSection, triedSection } from './gains-section.ts';
import { hostsSection } from './hosts-section.ts';
import { blocks, type Markdown } from './markdown.ts';
import type { PlotSpec } from './plots.ts';
import { paretoPlots, qualitySection } from './quality-section.ts';
import type { Report } from './render-html.ts';
import type { ReportInput } from './report-input.ts';
import { roadmapSection } from './roadmap-section.ts';
import { timePlots, timeSection } from './time-section.ts';
import { measurementsSection, validationSection } from './validation-section.ts';

/** A report whose plots are not drawn yet. */
export interface ReportDraft extends Omit<Report, 'plots'> {
  readonly specs: ReadonlyMap<string, PlotSpec>;
}

/**
 * Makes the report of an optimisation: every sentence, table and plot follows from the input. A page for everybody comes first, the
 * rest is folded; of an invalid measurement only what was measured is left.
 *
 * @throws RangeError if the input names a measurement that it does not hold.
 */
export function buildReport(input: ReportInput): ReportDraft {
  const findings = findingsOf(input);
  const isInvalid = findings.outcome === 'invalid';
  return {
    ...{ title: headline(findings), tone: toneOf(findings) },
    body: blocks(frontPage(findings), ...(isInvalid ? [] : chapters(findings)), measurementsSection(findings)),
    specs: new Map(
      isInvalid
        ? []
        : [...gainPlots(findings), ...timePlots(findings), ...(findings.hasChanged ? paretoPlots(findings) : [])],
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

function toneOf({ outcome }: Findings): Report['tone'] {
  return outcome === 'faster' ? 'good' : outcome === 'invalid' ? 'bad' : 'neutral';
}
