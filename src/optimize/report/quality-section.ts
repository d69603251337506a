import type { Configuration } from '../result.ts';
import { describeConfiguration, furtherDifferences } from './configuration-text.ts';
import { counted, fps, ms, percent, score, signedScore, whole } from './figures.ts';
import { type Findings, isSame, trialIn } from './findings.ts';
import { blocks, code, folded, image, list, type Markdown, md, measured, NOTHING, strong, table } from './markdown.ts';
import { type ParetoMark, type PlotSpec, paretoPlot } from './plots.ts';
import type { PublishedFigure, QualityFigure, QualitySlice, ReportTrial } from './report-input.ts';

/** A slice that loses more gets a warning, significant or not. */
const LARGE_LOSS: Readonly<Record<QualitySlice['by'], number>> = { class: 0.1, size: 0.05, tag: 0.05 };
const MOST_SLICES = 20;

/** Both verdicts on the quality, what loses most, which finalists were judged and what the gate did not pass. */
export function qualitySection(findings: Findings): Markdown {
  const { input } = findings;
  const { search, heldOut } = input.quality;
  const figures = [search, heldOut].flatMap((figure) => figure ?? []);
  const parts = [
    ...(search === null ? [] : rows('search: the part that chose', search)),
    ...(heldOut === null ? [] : rows(`held out: seen once, by ${counted(heldOut.finalists, 'finalist')}`, heldOut)),
  ];
  const warnings = qualityWarnings(findings);
  return folded(
    'Quality',
    figures.length === 0
      ? 'Quality was not judged, so nothing here says what a change costs in accuracy.'
      : blocks(
          table(['Part', '>Pictures or frames', '>Before', '>After', '>Loss', '>Its interval', '>Allowed'], parts),
          heldOut === null
            ? 'Nothing was held out: the pictures that chose the best configuration also judged it, which flatters it.'
            : 'Only the held-out part decides. Its interval is wider the more finalists it has seen.',
        ),
    warnings.length === 0 ? NOTHING : blocks(md`### Look at these first`, list(warnings)),
    slices(heldOut ?? search),
    finalists(findings),
    pareto(findings),
    refusals(findings),
  );
}

const PUBLISHED = { recall: 'recall: objects found', precision: 'precision: boxes that are right' } as const;

function rows(part: string, figure: QualityFigure) {
  const { kind, measurements, published = [] } = figure;
  const at = ([before, after]: PublishedFigure['thresholds']): string =>
    before === after ? `score ${after} or more` : `score ${after} or more, before ${before}`;
  return [
    row(md`${part}, ${kind === 'ap' ? 'AP' : 'F1'}${measured(...measurements)}`, figure, figure),
    ...published.map((each) => row(md`${PUBLISHED[each.name]} (${at(each.thresholds)})`, figure, each)),
  ];
}

type Loss = Pick<QualityFigure, 'baseline' | 'best' | 'loss' | 'interval' | 'allowed'>;

function row(
  name: Markdown,
  { pictures, confidence }: QualityFigure,
  { baseline, best, loss, interval, allowed }: Loss,
) {
  const span = `${score(interval[0])} to ${score(interval[1])} (${percent(confidence)})`;
  return [name, whole(pictures), score(baseline), score(best), score(loss), span, score(allowed)];
}

/** Kinds of objects that lose much, with how little there may be to judge them by. */
export function qualityWarnings({ quality, hasChanged }: Findings): readonly Markdown[] {
  if (quality === null || !hasChanged) return [];
  return [...quality.slices]
    .filter(({ by, loss }) => loss >= LARGE_LOSS[by])
    .sort((a, b) => b.loss - a.loss)
    .map((slice) => {
      const { by, name, loss, interval, pictures, objects } = slice;
      const range =
        interval === null ? '' : `, 95\u00a0% interval ${signedScore(-interval[1])} to ${signedScore(-interval[0])}`;
      const ground = [
        ...(pictures === null ? [] : [counted(pictures, 'picture')]),
        ...(objects === null ? [] : [counted(objects, 'object')]),
      ];
      return md`${by} ${strong(name)} ${signedScore(-loss)} ${ground.length === 0 ? '' : `on ${ground.join(' with ')}`}${range}`;
    });
}

function slices(figure: QualityFigure | null): Markdown {
  if (figure === null || figure.slices.length === 0) return NOTHING;
  const sorted = [...figure.slices].sort((a, b) => b.loss - a.loss);
  const rows = sorted
    .slice(0, MOST_SLICES)
    .map(({ by, name, loss, interval, pictures, objects }) => [
      `${by} ${name}`,
      signedScore(-loss),
      interval === null ? '–' : `${signedScore(-interval[1])} to ${signedScore(-interval[0])}`,
      pictures === null ? '–' : whole(pictures),
      objects === null ? '–' : whole(objects),
    ]);
  return blocks(
    md`### By size, class and tag`,
    md`The greatest loss first${rows.length === sorted.length ? '' : `, ${whole(rows.length)} of ${whole(sorted.length)}`}${measured(...figure.measurements)}.`,
    table(
      ['Objects', `>Change of ${figure.kind === 'ap' ? 'AP' : 'F1'}`, '>95 % interval', '>Pictures', '>Objects'],
      rows,
    ),
  );
}

function finalists({ input }: Findings): Markdown {
  if (input.finalists.length === 0) return NOTHING;
  const rows = input.finalists.map(({ configuration, fps: rate, verdict, reason, measurements }) => [
    md`${nameOf(configuration, input.baseline.configuration)}${measured(...measurements)}`,
    fps(rate),
    strong(verdict),
    reason,
  ]);
  return blocks(md`### Finalists`, table(['Configuration', '>Rate', 'Held-out part', 'Why'], rows));
}

function nameOf(configuration: Configuration, baseline: Configuration): Markdown {
  const more = furtherDifferences(configuration, baseline);
  return md`${code(describeConfiguration(configuration))}${more.length === 0 ? '' : `; ${more.join(', ')}`}`;
}

interface Mark extends ParetoMark {
  readonly configuration: Configuration;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly ids: readonly string[];
}

interface Front {
  /** Figures of the part that chose, as those of the front; null where it did not judge by AP. */
  readonly search: QualityFigure | null;
  readonly marks: readonly Mark[];
}

/** The front, the baseline, and configurations that the gate did not pass if their rate and loss are known. Empty without a front. */
function frontOf({ input, before }: Findings): Front {
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  const { configuration: own, measurement } = input.baseline;
  const figure = input.quality.search;
  const search = figure?.kind === 'ap' && input.pareto.every(({ ap }) => ap !== null) ? figure : null;
  const figuresOf = ({ fps: rate, latencyMs, cpuMsPerFrame }: ReportTrial) => ({
    ...{ fps: rate, p99Ms: latencyMs.p99, cpuMsPerFrame: cpuMsPerFrame?.total ?? null },
  });
  const front = input.pareto.map(({ configuration, measurements: ids, ap, ...figures }): Mark => {
    const kind = isSame(configuration, input.best.configuration)
      ? 'best'
      : isSame(configuration, own)
        ? 'baseline'
        : 'other';
    return { ...figures, configuration, ids, kind, value: search === null ? figures.p99Ms : ap! };
  });
  const start: Mark = {
    ...{ ...figuresOf(before), configuration: own, kind: 'baseline', ids: [measurement] },
    value: search === null ? before.latencyMs.p99 : search.baseline,
  };
  const notPassed = input.refusals.flatMap(({ configuration, verdict, loss, measurements: ids }): Mark[] => {
    const trial = ids.map((id) => trialIn(byId.get(id)!)).find((result) => result !== null);
    if (trial === undefined || loss === null || search === null) return [];
    return [{ ...figuresOf(trial), configuration, kind: verdict ?? 'refused', ids, value: search.baseline - loss }];
  });
  const hasStart = front.some(({ kind }) => kind === 'baseline');
  const marks = [...(hasStart ? [] : [start]), ...front, ...notPassed].sort((a, b) => a.fps - b.fps);
  return { search, marks: front.length === 0 ? [] : marks };
}

/** The plot of `pareto`; none without a front. */
export function paretoPlots(findings: Findings): readonly (readonly [string, PlotSpec])[] {
  const { search, marks } = frontOf(findings);
  if (marks.length < 2) return [];
  const lowest = search === null ? null : search.baseline - search.allowed;
  return [['pareto', paretoPlot(marks, search === null ? 'p99, ms' : 'average precision', lowest)]];
}

function pareto(findings: Findings): Markdown {
  const { search, marks } = frontOf(findings);
  if (marks.length < 2) return NOTHING;
  const rows = marks.map(({ configuration, kind, fps: rate, value, p99Ms, cpuMsPerFrame, ids }, i) => [
    whole(i + 1),
    md`${nameOf(configuration, findings.input.baseline.configuration)}${measured(...ids)}`,
    kind,
    fps(rate),
    search === null ? '–' : score(value),
    ms(p99Ms),
    cpuMsPerFrame === null ? '–' : ms(cpuMsPerFrame),
  ]);
  return blocks(
    md`### Accuracy against rate`,
    'By the part that chose. No configuration beats a point of the front in all figures.',
    image('pareto', 'Accuracy against rate'),
    folded('The points', table(['>Point', 'Configuration', 'Kind', '>Rate', '>AP', '>p99', '>CPU a frame'], rows)),
  );
}

function refusals({ input }: Findings): Markdown {
  if (input.refusals.length === 0) return NOTHING;
  const rows = input.refusals.map(({ configuration, loss, upperBound, allowed, reason, measurements }) => [
    md`${nameOf(configuration, input.baseline.configuration)}${measured(...measurements)}`,
    loss === null ? '–' : score(loss),
    upperBound === null ? '–' : score(upperBound),
    score(allowed),
    reason,
  ]);
  const inconclusive = input.refusals.filter(({ verdict }) => verdict === 'inconclusive').length;
  const refused = rows.length - inconclusive;
  return folded(
    `Not passed by the gate: ${[
      ...(refused > 0 ? [`${refused} refused`] : []),
      ...(inconclusive > 0 ? [`${inconclusive} inconclusive`] : []),
    ].join(', ')}`,
    'None of them is used in the results above.',
    table(['Configuration', '>Loss', '>Upper bound', '>Allowed', 'Why'], rows),
  );
}
