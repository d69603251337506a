import { BUSY_STAGES } from '../../../wire/protocol/report.ts';
import {
  amount,
  change,
  changeInterval,
  counted,
  DASH,
  duration,
  factor,
  fps,
  interval,
  joules,
  megabytes,
  ms,
  percent,
  score,
  targetValue,
  whole,
} from '../../measure/report/figures.ts';
import {
  anchor,
  type Columns,
  code,
  folded,
  type Html,
  html,
  list,
  listing,
  measured,
  NOTHING,
  shellQuoted,
  table,
  verdict as word,
} from '../../measure/report/html.ts';
import { type FaultCounts, PARTS } from '../../measure/trial-result.ts';
import { AGREEMENT } from '../gate/gate-verdict.ts';
import { changedLevers, LEVERS, valueText } from '../levers/levers.ts';
import type { Configuration, Step } from '../result.ts';
import { frontOf, paretoDrawing } from './accuracy-plot.ts';
import { describeConfiguration, describeStep, furtherDifferences } from './configuration-text.ts';
import { type Findings, isMeasured, predictionError, trialIn } from './findings.ts';
import { warningsOf } from './first-screen.ts';
import { slicesOf } from './loss-slices.ts';
import { joulesPerFrame, type QualityFigure, type ReportMeasurement, type ReportTrial } from './report-input.ts';

/** All figures behind the first screen, folded. Of an invalid measurement only what other programs do not change, and what was measured. */
export function details(findings: Findings): Html {
  if (findings.outcome === 'invalid') return html`${finalists(findings)}${refusals(findings)}${measurements(findings)}`;
  return html`${changes(findings)}${quality(findings)}${pareto(findings)}${times(findings)}${limits(findings)}${tried(findings)}${furtherTests(findings)}${measurements(findings)}`;
}

function changes({ input: { baseline, best, options } }: Findings): Html {
  const isHeld = best.configuration.decode !== baseline.configuration.decode;
  return folded(
    `What ${options.bestPath} changes`,
    table(changedLevers(baseline.configuration, best.configuration), {
      Setting: (lever) => LEVERS[lever].name,
      Before: (lever) => code(valueText(lever, baseline.configuration)),
      After: (lever) => code(valueText(lever, best.configuration)),
      'What may go wrong': (lever) => LEVERS[lever].risk,
    }),
    isHeld
      ? html`<p>Rates and costs count the frames of before: the last result holds for those that are not decoded.</p>`
      : NOTHING,
  );
}

const PUBLISHED = { recall: 'recall: objects found', precision: 'precision: boxes that are right' } as const;
const MOST_SLICES = 20;

function quality(findings: Findings): Html {
  const { search, heldOut } = findings.input.quality;
  if (!findings.hasChanged) return html`${finalists(findings)}${refusals(findings)}`;
  const losses = [
    ...(search === null ? [] : lossesOf('search: the part that chose', search)),
    ...(heldOut === null ? [] : lossesOf(`held out: seen once, by ${counted(heldOut.finalists, 'finalist')}`, heldOut)),
  ];
  const said =
    losses.length === 0
      ? 'Quality was not judged, so nothing here says what a change costs in accuracy.'
      : heldOut === null
        ? 'Nothing was held out: the pictures that chose the best configuration also judged it, which flatters it.'
        : 'Only the held-out part decides. Its interval is wider the more finalists it has seen.';
  return folded(
    'Quality',
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
    html`<p>${said}</p>`,
    list(warningsOf(findings)),
    sliceTable(heldOut ?? search),
    finalists(findings),
    refusals(findings),
  );
}

/** A figure in a table. */
function figureName(measure: QualityFigure['measure']): string {
  return measure === AGREEMENT ? 'F1' : measure;
}

/** The losses of a part that were judged, each with what was allowed. */
function lossesOf(part: string, of: QualityFigure) {
  const { measure, measurements: ids, published } = of;
  const own = { ...of, of, name: html`${part}, ${figureName(measure)}${measured(...ids)}` };
  if (published === null) return [own];
  const [before, after] = published.thresholds;
  const at = `score ${after} or more${before === after ? '' : `, before ${before}`}`;
  const others = (['recall', 'precision'] as const).map((name) => ({
    ...published[name],
    of,
    name: html`${PUBLISHED[name]} (${at})`,
    allowed: published.allowedShare * published[name].reference,
  }));
  return [own, ...others];
}

function sliceTable(figure: QualityFigure | null): Html {
  if (figure === null) return NOTHING;
  const slices = slicesOf(figure);
  if (slices.length === 0) return NOTHING;
  const shown = slices.slice(0, MOST_SLICES);
  return html`<h3>By size, class and tag</h3>
<p>The greatest loss first${shown.length === slices.length ? '' : `, ${whole(shown.length)} of ${whole(slices.length)}`}${measured(...figure.measurements)}.</p>
${table(shown, {
  Objects: ({ by, name }) => `${by} ${name}`,
  [`>Change of ${figureName(figure.measure)}`]: ({ loss }) => change(loss),
  '>95 % interval': ({ interval: span, pictures }) => (pictures === 1 ? 'of one picture: none' : changeInterval(span)),
  '>Pictures': ({ pictures }) => whole(pictures),
  '>Objects': ({ objects }) => whole(objects),
})}`;
}

function nameOf(configuration: Configuration, { input: { baseline } }: Findings): string {
  return [describeConfiguration(configuration), ...furtherDifferences(configuration, baseline.configuration)].join(
    '; ',
  );
}

function finalists(findings: Findings): Html {
  const rows = table(findings.input.finalists, {
    Configuration: ({ configuration, measurements: ids }) =>
      html`${nameOf(configuration, findings)}${measured(...ids)}`,
    '>Rate': ({ fps: rate }) => fps(rate),
    'Held-out part': ({ verdict }) => word(verdict),
    Why: ({ reason }) => reason,
  });
  return findings.input.finalists.length === 0 ? NOTHING : html`<h3>Judged on the held-out part</h3>${rows}`;
}

function refusals(findings: Findings): Html {
  const all = findings.input.refusals;
  if (all.length === 0) return NOTHING;
  const inconclusive = all.filter(({ verdict }) => verdict === 'inconclusive').length;
  const refused = all.length - inconclusive;
  return folded(
    `Not passed by the gate: ${[
      ...(refused > 0 ? [`${refused} refused`] : []),
      ...(inconclusive > 0 ? [`${inconclusive} inconclusive`] : []),
    ].join(', ')}`,
    html`<p>None of them is used in the results above.</p>`,
    table(all, {
      Configuration: ({ configuration, measurements: ids }) =>
        html`${nameOf(configuration, findings)}${measured(...ids)}`,
      '>Loss': ({ loss }) => score(loss),
      '>Upper bound': ({ upperBound }) => score(upperBound),
      '>Allowed': ({ allowed }) => score(allowed),
      Why: ({ reason }) => reason,
    }),
  );
}

function pareto(findings: Findings): Html {
  const front = frontOf(findings);
  const { search, marks } = front;
  if (marks.length < 2) return NOTHING;
  return folded(
    'Accuracy against rate',
    html`<p>By the part that chose. No configuration beats a point of the front in all figures.</p>`,
    paretoDrawing(front),
    table(marks, {
      '>Point': (_, place) => whole(place + 1),
      Configuration: ({ configuration, ids }) => html`${nameOf(configuration, findings)}${measured(...ids)}`,
      Kind: ({ kind }) => kind,
      '>Rate': ({ fps: rate }) => fps(rate),
      [`>${search === null ? 'AP' : search.measure}`]: ({ value }) => (search === null ? null : score(value)),
      '>p99': ({ p99Ms }) => ms(p99Ms),
      '>CPU a frame': ({ cpuMsPerFrame }) => ms(cpuMsPerFrame),
    }),
  );
}

/** A trial under the title of its column. */
interface Side {
  readonly name: string;
  readonly trial: ReportTrial;
}

/** Largest gap of Little's law that a measurement should have. */
const LITTLE_LAW_LIMIT = 0.05;

/** Where the time of a frame goes: at the speed of cameras, and in a file that is read as fast as it can be. */
function times(findings: Findings): Html {
  const { live, input, before, after, hasChanged } = findings;
  const cameras = live.map(({ name, cameras: count, cameraFps, trial }) => ({
    name: `${name}: ${counted(count, 'camera')} of ${fps(cameraFps)}`,
    trial,
  }));
  const offline = [{ name: 'before', trial: before }, ...(hasChanged ? [{ name: 'after', trial: after }] : [])];
  return folded(
    'Where the time of a frame goes',
    live.length === 0
      ? html`<p>No run at the speed of cameras was measured: that needs ${code('--target')}, or a budget from eight minutes. What a camera sees is therefore not known.</p>`
      : html`<p>At the speed of cameras, with the number of cameras in the head of each column${measured(...live.map(({ measurement }) => measurement))}.</p>${stageBars(cameras)}${trialTable(cameras)}`,
    targetsTable(findings),
    folded(
      'The file read as fast as it can be',
      html`<p>One file that is read flat out is one queue: frames wait because the reader is ahead, so the wait and p99 here are not what a camera sees. The CPU time of a frame and the share of each stage's capacity are what these runs are for${measured(input.baseline.measurement, input.best.measurement)}.</p>`,
      trialTable(offline),
    ),
  );
}

/** One bar for each side: the mean time of a frame by part, all on one scale. */
function stageBars(sides: readonly Side[]): Html {
  const total = ({ trial }: Side): number => PARTS.reduce((sum, part) => sum + trial.stagesMs[part], 0);
  const most = Math.max(...sides.map(total));
  if (!(most > 0)) return NOTHING;
  const parts = PARTS.filter((part) => sides.some(({ trial }) => trial.stagesMs[part] > 0));
  return html`<div class="stages" role="img" aria-label="Mean time of a frame by part">${sides.map(
    (side) =>
      html`<p>${side.name}: ${ms(total(side))}</p><div>${parts.map(
        (part) =>
          html`<i class="part-${part}" style="width:${((side.trial.stagesMs[part] / most) * 100).toFixed(2)}%"></i>`,
      )}</div>`,
  )}<p class="small">${parts.map((part) => html`<span><i class="part-${part}"></i>${part}</span> `)}</p></div>`;
}

/** Figures that no side has are absent. */
function trialTable(sides: readonly Side[]): Html {
  const rows: { readonly name: string; readonly cells: readonly string[] }[] = [];
  const row = (name: string, text: (trial: ReportTrial) => string | null): void => {
    const cells = sides.map(({ trial }) => text(trial) ?? DASH);
    if (cells.some((cell) => cell !== DASH)) rows.push({ name, cells });
  };
  row('frames per second', (trial) => amount(trial.fps));
  for (const quantile of ['p50', 'p95', 'p99', 'max'] as const)
    row(`latency ${quantile}`, ({ latencyMs }) => ms(latencyMs[quantile]));
  for (const part of PARTS)
    row(`of the mean: ${part}`, ({ stagesMs }) => (stagesMs[part] === 0 ? null : ms(stagesMs[part])));
  row('serialise and send, after publication', ({ sendMs = 0 }) => (sendMs === 0 ? null : ms(sendMs)));
  row('frames dropped', ({ dropRatio }) => percent(dropRatio));
  const faults = (name: string, count: (faults: FaultCounts) => number): void =>
    row(`${name} per million frames`, ({ faults: found }) =>
      found === undefined || found.frames === 0 ? null : amount((count(found) / found.frames) * 1e6),
    );
  faults('decode errors', ({ decodeErrors }) => decodeErrors);
  faults('failed inferences', ({ failedInferences }) => failedInferences);
  faults('reconnects', ({ reconnects }) => reconnects);
  for (const reason of new Set(sides.flatMap(({ trial }) => Object.keys(trial.faults?.dropped ?? {}))))
    faults(`dropped (${reason})`, ({ dropped }) => dropped[reason] ?? 0);
  row('CPU a frame', ({ cpuMsPerFrame }) => ms(cpuMsPerFrame?.total));
  for (const stage of BUSY_STAGES) {
    row(`of it ${stage}`, ({ cpuMsPerFrame }) => ms(cpuMsPerFrame?.[stage]));
    row(`capacity of ${stage} in use`, ({ busyRatio }) => percent(busyRatio[stage]));
  }
  const gpus = Math.max(...sides.map(({ trial }) => trial.gpus?.length ?? 0));
  for (let i = 0; i < gpus; i++) {
    const name = gpus === 1 ? 'GPU' : `GPU ${i}`;
    row(`${name} in use`, ({ gpus: found }) => percent(found?.[i]?.busyRatio));
    row(`video decoder of the ${name} in use`, ({ gpus: found }) => percent(found?.[i]?.decoderRatio));
    row(`memory of the ${name}`, ({ gpus: found }) => megabytes(found?.[i]?.memoryUsedBytes));
  }
  row('energy a frame', (trial) => joules(joulesPerFrame(trial)));
  row('memory', ({ rssBytes }) => megabytes(rssBytes));
  row('CPU that others took', ({ machine }) => percent(machine?.otherRatio));
  row('CPU that other virtual machines took', ({ machine }) => percent(machine?.stealRatio));
  row('device', ({ device }) => (device === undefined ? null : `${device.device} (${device.provider})`));
  row('windows left out', ({ discardedWindows: n }) => (n === 0 ? null : whole(n)));
  row('became stable', ({ isStable }) => (isStable ? 'yes' : 'no: read it with care'));
  row(
    "gap of Little's law",
    ({ littleLawGap: gap }) => percent(gap) + (gap > LITTLE_LAW_LIMIT ? ': read it with care' : ''),
  );
  type Row = (typeof rows)[number];
  const columns = sides.map(({ name }, i) => [`>${name}`, ({ cells }: Row) => cells[i]!]);
  return table<Row>(rows, { '': ({ name }) => name, ...Object.fromEntries(columns) });
}

function targetsTable({ input: { baseline, best }, hasChanged }: Findings): Html {
  const { targets } = baseline;
  if (targets.length === 0) return NOTHING;
  type Target = (typeof targets)[number];
  const text = (one: Target | undefined): string | null =>
    one === undefined
      ? null
      : `${one.measured === null ? '' : `${targetValue(one.target, one.measured)}: `}${one.state}, ${one.reason}`;
  const after = ({ target }: Target): string | null => text(best.targets.find((one) => one.target === target));
  const columns: Columns<Target> = {
    Target: ({ target }) => code(target),
    Before: text,
    ...(hasChanged ? { After: after } : {}),
  };
  return html`<h3>Targets</h3>${table(targets, columns)}<p>A percentile counts as met only if so few frames were late that chance explains it in less than one run of 100.</p>`;
}

/** What limits the pipeline today, and how good the predictions were. */
function limits({ input: { bottlenecks }, predictions: { medianError, count, nothing } }: Findings): Html {
  const { largest } = nothing;
  return folded(
    'What limits it today',
    bottlenecks.length === 0 ? html`<p>No bottleneck was found.</p>` : NOTHING,
    table(bottlenecks, {
      Part: ({ part, measurements: ids }) => html`${part}${measured(...ids)}`,
      '>Busy': ({ busyRatio }) => percent(busyRatio),
      'What was seen': ({ explanation, remedy }) => html`${explanation} <strong>Remedy:</strong> ${remedy}`,
      '>Predicted': ({ predictedGain }) => factor(predictedGain),
      '>Measured': ({ predictedGain, measuredGain: gain }) =>
        gain === null ? 'not compared' : `${factor(gain)}, ${percent(predictionError(predictedGain, gain))} off`,
    }),
    bottlenecks.some(({ measuredGain }) => measuredGain === null)
      ? html`<p>A prediction is compared only with a change that does what it assumes, such as one that halves the time for inference.</p>`
      : NOTHING,
    html`<p>${
      medianError === null
        ? 'No predicted effect above 5\u00a0% was put to the test.'
        : `Over ${counted(count, 'change')} with a predicted effect above 5\u00a0%, the median error of the predictions is ${percent(medianError)}.`
    }</p>`,
    largest === null
      ? NOTHING
      : html`<p>${counted(nothing.count, 'change')} ${nothing.count === 1 ? 'was' : 'were'} predicted to change nothing; the largest surprise is ${describeStep(largest)}, ${factor(largest.measuredGain)}${measured(...largest.measurements)}.</p>`,
  );
}

/** Whether the gate could not decide on the quality of a change, so that its gain was not measured. */
function isJudged({ verdict, apLoss }: Step): boolean {
  return verdict === 'inconclusive' && apLoss !== null;
}

/** Every change that was considered, and the techniques that somebody would ask about. */
function tried({ input }: Findings): Html {
  const run = input.steps.filter(
    (step) => isMeasured(step) || isJudged(step) || step.verdict === 'refused' || step.verdict === 'failed',
  );
  const ruledOut = input.steps.filter((step) => !run.includes(step));
  const levers = [...new Set(run.map(({ lever }) => lever))].map((lever) => LEVERS[lever].does);
  return folded(
    'Everything that was tried, and what was not',
    table(run, {
      Change: (step) => html`${describeStep(step)}${measured(...step.measurements)}`,
      '>Predicted': ({ predictedGain }) => factor(predictedGain),
      '>Measured': ({ measuredGain, isTaken }) =>
        measuredGain === null ? 'not run' : `${factor(measuredGain)}${isTaken ? ', taken' : ''}`,
      '>95 % interval': (step) => interval(step.interval),
      '>Quality': ({ apLoss }) => change(apLoss),
      Verdict: ({ verdict }) => word(verdict),
      Why: ({ reason }) => reason,
    }),
    html`<p>${levers.join(' ')}</p>`,
    folded(
      `Not run, because they could not win: ${whole(ruledOut.length)}`,
      table(ruledOut, {
        Change: describeStep,
        '>Predicted': ({ predictedGain }) => factor(predictedGain),
        Why: ({ reason }) => reason,
      }),
    ),
    table(input.techniques, {
      Technique: ({ name }) => name,
      '': ({ state }) => state,
      'Outcome, or why not': ({ reason, measurements: ids }) => html`${reason}${measured(...ids)}`,
    }),
  );
}

/** Commands that show whether the result holds outside of this run. */
function furtherTests({ input: { options, best } }: Findings): Html {
  const { model, engine, precision, inputSize } = best.configuration;
  const path = shellQuoted(options.bestPath);
  const wanted = best.capacity?.target ?? options.target;
  const target = wanted === null ? '' : ` --target ${shellQuoted(wanted)}`;
  const cameras = ` --cameras ${Math.max(1, best.capacity?.cameras ?? 1)} --camera-fps ${options.cameraFps} --camera-size ${options.pictureSize}`;
  const annotations = options.annotations === null ? 'ANNOTATIONS.json' : shellQuoted(options.annotations);
  const images = options.images === null ? 'PICTURES' : shellQuoted(options.images);
  return folded(
    'Test it further',
    html`<p>This run measured on one machine for minutes. Before you depend on it: up to the break point, for hours, and on your own pictures.</p>`,
    listing([
      `sightline loadtest ${path} --profile stress${cameras}${target}`,
      `sightline loadtest ${path} --profile endurance --minutes 480${cameras}${target}`,
      `sightline eval ${annotations} --images ${images} --model ${shellQuoted(model)} --engine ${engine} --precision ${precision} --input-size ${inputSize}`,
    ]),
  );
}

/** Every measurement, with what it measured and its result. */
function measurements(findings: Findings): Html {
  const { measurements: all, machine } = findings.input;
  const total = all.reduce((sum, record) => sum + record.seconds, 0);
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return folded(
    'Measurements',
    html`<p>${counted(all.length, 'measurement')} in ${duration(total)}. Each is a line of ${code('measurements.jsonl')} with everything that was recorded. Machine: ${machine.cpuModel}, ${counted(machine.cores, 'core')}, ${amount(machine.memoryBytes / 2 ** 30)} GiB${versions.length === 0 ? '' : `; ${versions.join(', ')}`}.</p>`,
    table(all, {
      Id: ({ id }) => anchor(id),
      What: ({ kind, scenario }) => `${kind}, ${scenario}`,
      Configuration: ({ configuration }) => nameOf(configuration, findings),
      Result: resultText,
      '>Took': ({ seconds }) => duration(seconds),
    }),
  );
}

/** One line about what a measurement found. */
function resultText(record: ReportMeasurement): string {
  if (record.error !== null) return `failed: ${record.error}`;
  const trial = trialIn(record);
  if (trial !== null) {
    const { fps: rate, latencyMs, frames, isStable, discardedWindows, dropRatio } = trial;
    return [
      fps(rate),
      `p99\u00a0${ms(latencyMs.p99)}`,
      `${whole(frames)} frames`,
      ...(dropRatio > 0 ? [`${percent(dropRatio)} dropped`] : []),
      ...(isStable ? [] : ['not stable']),
      ...(discardedWindows > 0 ? [`${counted(discardedWindows, 'window')} left out`] : []),
    ].join('; ');
  }
  return record.result === null ? 'no result' : plainFigures(record.result);
}

/** The numbers of a result of another kind, by name. */
function plainFigures(result: object): string {
  const figures = Object.entries(result).filter(([, value]) => Number.isFinite(value)) as [string, number][];
  return (
    figures
      .map(([name, value]) => `${name} ${String(Number(value.toPrecision(4))).replace('-', '\u2212')}`)
      .join('; ') || 'judged'
  );
}
