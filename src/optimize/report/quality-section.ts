import type { LossEstimate } from '../../evaluate/loss-bootstrap.ts';
import { AGREEMENT } from '../gate/gate-verdict.ts';
import type { Configuration } from '../result.ts';
import { describeConfiguration, furtherDifferences } from './configuration-text.ts';
import { change, changeInterval, counted, fps, ms, percent, score, whole } from './figures.ts';
import { type Findings, isSame, trialIn } from './findings.ts';
import { blocks, code, folded, image, list, type Markdown, md, measured, NOTHING, strong, table } from './markdown.ts';
import { type ParetoMark, paretoPlot } from './plots.ts';
import type { QualityFigure, ReportTrial } from './report-input.ts';

/** Loss of one kind of objects, or of the files with one tag. */
interface Slice extends LossEstimate {
  readonly by: 'size' | 'class' | 'tag';
  readonly name: string;
  /** What there was to judge by. */
  readonly pictures?: number;
  readonly objects?: number;
}

/** A slice that loses more gets a warning, significant or not. */
const LARGE_LOSS: Readonly<Record<Slice['by'], number>> = { class: 0.1, size: 0.05, tag: 0.05 };
const MOST_SLICES = 20;

/** Both verdicts on the quality, what loses most, which finalists were judged and what the gate did not pass. */
export function qualitySection(findings: Findings): Markdown {
  const { search, heldOut } = findings.input.quality;
  const losses = [
    ...(search === null ? [] : lossesOf('search: the part that chose', search)),
    ...(heldOut === null ? [] : lossesOf(`held out: seen once, by ${counted(heldOut.finalists, 'finalist')}`, heldOut)),
  ];
  const warnings = qualityWarnings(findings);
  return folded(
    'Quality',
    losses.length === 0
      ? 'Quality was not judged, so nothing here says what a change costs in accuracy.'
      : blocks(
          table(losses, {
            Part: ({ name }) => name,
            '>Pictures or frames': ({ of }) => whole(of.pictures),
            '>Before': ({ reference }) => score(reference),
            '>After': ({ candidate }) => score(candidate),
            '>Loss': ({ loss }) => score(loss),
            '>Its interval': ({ interval: [low, high], of }) =>
              `${score(low)} to ${score(high)} (${percent(2 * of.level - 1)})`,
            '>Allowed': ({ allowed }) => score(allowed),
          }),
          heldOut === null
            ? 'Nothing was held out: the pictures that chose the best configuration also judged it, which flatters it.'
            : 'Only the held-out part decides. Its interval is wider the more finalists it has seen.',
        ),
    warnings.length === 0 ? NOTHING : blocks(md`### Look at these first`, list(warnings)),
    sliceTable(heldOut ?? search),
    finalists(findings),
    pareto(findings),
    refusals(findings),
  );
}

/** What the gate said of each configuration, which other programs on the machine do not change. */
export function gateSection(findings: Findings): Markdown {
  return blocks(finalists(findings), refusals(findings));
}

const PUBLISHED = { recall: 'recall: objects found', precision: 'precision: boxes that are right' } as const;

/** A figure in a table. */
function figureName(measure: QualityFigure['measure']): string {
  return measure === AGREEMENT ? 'F1' : measure;
}

/** The losses of a part that were judged, each with what was allowed. */
function lossesOf(part: string, of: QualityFigure) {
  const { measure, measurements, published } = of;
  const own = { ...of, of, name: md`${part}, ${figureName(measure)}${measured(...measurements)}` };
  if (published === null) return [own];
  const [before, after] = published.thresholds;
  const at = `score ${after} or more${before === after ? '' : `, before ${before}`}`;
  const others = (['recall', 'precision'] as const).map((name) => ({
    ...{ ...published[name], of, name: md`${PUBLISHED[name]} (${at})` },
    allowed: published.allowedShare * published[name].reference,
  }));
  return [own, ...others];
}

/** The greatest loss first. */
function slicesOf({ bySize, byTag, byClass }: QualityFigure): readonly Slice[] {
  const slices: Slice[] = [
    ...bySize.map(({ size, ...rest }) => ({ ...rest, by: 'size' as const, name: size })),
    ...byTag.map(({ tag, ...rest }) => ({ ...rest, by: 'tag' as const, name: tag })),
    ...byClass.map(({ label, units, ...rest }) => ({ ...rest, by: 'class' as const, name: label, pictures: units })),
  ];
  return slices.sort((a, b) => b.loss - a.loss);
}

/** Kinds of objects that lose much, with how little there may be to judge them by. */
export function qualityWarnings({ quality, hasChanged }: Findings): readonly Markdown[] {
  if (quality === null || !hasChanged) return [];
  return slicesOf(quality)
    .filter(({ by, loss }) => loss >= LARGE_LOSS[by])
    .map(({ by, name, loss, interval, pictures, objects }) => {
      const ground = [
        ...(pictures === undefined ? [] : [counted(pictures, 'picture')]),
        ...(objects === undefined ? [] : [counted(objects, 'object')]),
      ];
      // Resamples of a single picture are all alike, which is no certainty.
      const span = pictures === 1 ? md`too little for an interval` : md`95\u00a0% interval ${changeInterval(interval)}`;
      return md`${by} ${strong(name)} ${change(loss)} ${ground.length === 0 ? '' : `on ${ground.join(' with ')}`}, ${span}`;
    });
}

function sliceTable(figure: QualityFigure | null): Markdown {
  if (figure === null) return NOTHING;
  const slices = slicesOf(figure);
  if (slices.length === 0) return NOTHING;
  const shown = slices.slice(0, MOST_SLICES);
  return blocks(
    md`### By size, class and tag`,
    md`The greatest loss first${shown.length === slices.length ? '' : `, ${whole(shown.length)} of ${whole(slices.length)}`}${measured(...figure.measurements)}.`,
    table(shown, {
      Objects: ({ by, name }) => `${by} ${name}`,
      [`>Change of ${figureName(figure.measure)}`]: ({ loss }) => change(loss),
      '>95 % interval': ({ interval, pictures }) =>
        pictures === 1 ? 'of one picture: none' : changeInterval(interval),
      '>Pictures': ({ pictures }) => whole(pictures),
      '>Objects': ({ objects }) => whole(objects),
    }),
  );
}

function finalists({ input }: Findings): Markdown {
  if (input.finalists.length === 0) return NOTHING;
  const rows = table(input.finalists, {
    Configuration: ({ configuration, measurements }) =>
      md`${nameOf(configuration, input.baseline.configuration)}${measured(...measurements)}`,
    '>Rate': ({ fps: rate }) => fps(rate),
    'Held-out part': ({ verdict }) => strong(verdict),
    Why: ({ reason }) => reason,
  });
  return blocks(md`### Finalists`, rows);
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
  /** Figures of the part that chose, as those of the front; null where it did not judge by labels. */
  readonly search: QualityFigure | null;
  readonly marks: readonly Mark[];
}

/** The front, the baseline, and configurations that the gate did not pass if their rate and loss are known. Empty without a front. */
function frontOf({ input, before }: Findings): Front {
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  const { configuration: own, measurement } = input.baseline;
  const figure = input.quality.search;
  const search =
    figure !== null && figure.measure !== AGREEMENT && input.pareto.every(({ ap }) => ap !== null) ? figure : null;
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
    value: search === null ? before.latencyMs.p99 : search.reference,
  };
  const notPassed = input.refusals.flatMap(({ configuration, verdict, loss, measurements: ids }): Mark[] => {
    const trial = ids.map((id) => trialIn(byId.get(id)!)).find((result) => result !== null);
    if (trial === undefined || loss === null || search === null) return [];
    return [{ ...figuresOf(trial), configuration, kind: verdict ?? 'refused', ids, value: search.reference - loss }];
  });
  const hasStart = front.some(({ kind }) => kind === 'baseline');
  const marks = [...(hasStart ? [] : [start]), ...front, ...notPassed].sort((a, b) => a.fps - b.fps);
  return { search, marks: front.length === 0 ? [] : marks };
}

function pareto(findings: Findings): Markdown {
  const { search, marks } = frontOf(findings);
  if (marks.length < 2) return NOTHING;
  const lowest = search === null ? null : search.reference - search.allowed;
  const plot = paretoPlot(marks, search === null ? 'p99, ms' : 'average precision', lowest);
  const points = table(marks, {
    '>Point': (_, place) => whole(place + 1),
    Configuration: ({ configuration, ids }) =>
      md`${nameOf(configuration, findings.input.baseline.configuration)}${measured(...ids)}`,
    Kind: ({ kind }) => kind,
    '>Rate': ({ fps: rate }) => fps(rate),
    [`>${search === null ? 'AP' : search.measure}`]: ({ value }) => (search === null ? null : score(value)),
    '>p99': ({ p99Ms }) => ms(p99Ms),
    '>CPU a frame': ({ cpuMsPerFrame }) => ms(cpuMsPerFrame),
  });
  return blocks(
    md`### Accuracy against rate`,
    'By the part that chose. No configuration beats a point of the front in all figures.',
    image('pareto', 'Accuracy against rate', plot),
    folded('The points', points),
  );
}

function refusals({ input }: Findings): Markdown {
  const all = input.refusals;
  if (all.length === 0) return NOTHING;
  const inconclusive = all.filter(({ verdict }) => verdict === 'inconclusive').length;
  const refused = all.length - inconclusive;
  return folded(
    `Not passed by the gate: ${[
      ...(refused > 0 ? [`${refused} refused`] : []),
      ...(inconclusive > 0 ? [`${inconclusive} inconclusive`] : []),
    ].join(', ')}`,
    'None of them is used in the results above.',
    table(all, {
      Configuration: ({ configuration, measurements }) =>
        md`${nameOf(configuration, input.baseline.configuration)}${measured(...measurements)}`,
      '>Loss': ({ loss }) => score(loss),
      '>Upper bound': ({ upperBound }) => score(upperBound),
      '>Allowed': ({ allowed }) => score(allowed),
      Why: ({ reason }) => reason,
    }),
  );
}
