import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { shellQuoted } from '../lab/measure/report/html.ts';
import { readTrackSequences } from '../lab/optimize/gate/track-sequence.ts';
import { LEVER_IDS } from '../lab/optimize/levers/levers.ts';
import type { LeverId, Step } from '../lab/optimize/result.ts';
import { ANSWERS_FILE, type GivenAnswer, keptAnswers, readAnswers } from '../lab/optimize/review/answers.ts';
import { REVIEW_FILE, readReview } from '../lab/optimize/review/review-file.ts';
import {
  exportFrames,
  giveBack,
  judgeReview,
  type ReviewVerdict,
  takeFaster,
} from '../lab/optimize/review/settle-report.ts';
import { type Labels, labelsIn, requireDistinct, splitEvidence } from '../lab/optimize/run/evidence.ts';
import {
  type Optimization,
  type OptimizeRequest,
  optimize,
  planOptimization,
} from '../lab/optimize/run/run-optimization.ts';
import { isPipelineFile } from '../lab/optimize/run/subject.ts';
import type { SearchPlan } from '../lab/optimize/search/plan-search.ts';
import type { WorkKind } from '../lab/optimize/search/time-budget.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { loadPipeline } from '../serve/pipeline/load-pipeline.ts';
import { DETECTOR } from '../serve/pipeline/one-detector.ts';
import { durationMs } from '../settings/config/duration.ts';
import { type CliIo, JSON_FLAG, note, show, table, wrongCommand } from './cli-io.ts';
import { annotationsFor } from './evaluate-model.ts';
import { addFlags, type FlagsOf, flagTable, listOf, numberIf, whole } from './flag-values.ts';
import { interruptedCode, ReportedFailure } from './interruption.ts';
import { modelConfigOf } from './model-flags.ts';
import { quantiseFor } from './models-compile.ts';
import { serveReview } from './review-server.ts';

const FLAGS = flagTable({
  '--target <targets>': 'what to reach, such as "fps>=30,p99<=50ms,streams>=8"',
  '--annotations <file>': "COCO annotations; quality is then judged by the AP of the model's task, or top-1",
  '--images <dir>': 'folder with the images of the annotations',
  '--holdout-annotations <file>': 'COCO annotations used only for the verdict (default: three quarters of the above)',
  '--holdout-images <dir>': 'folder with the images of these annotations',
  '--sequences <folders>':
    'videos with true tracks, as MOTChallenge has them (gt/gt.txt, video.mp4), separated by commas: the verdict then judges identities, too',
  '--accept-counts': 'accept other counts at lines and zones, and without labels another detector',
  '--max-loss <0..1>': [
    'largest loss allowed, of AP or top-1, or of agreement without labels',
    numberIf('--max-loss', 'a number from 0 to 1', (value) => value >= 0 && value <= 1),
    0.02,
  ],
  '--calibration <place>':
    'pictures or a video like those that the detector will see: INT8 is made and tried where the CPU has no bf16',
  '--candidates <dir>': 'folder with further detectors of the same classes: ONNX files or manifests',
  '--detector <name>': DETECTOR,
  '--levers <list>': `levers to try, separated by commas (default: all): ${LEVER_IDS.join(', ')}`,
  '--budget <time>': ['time to use, such as 5m or 90s', '5m'],
  '--report <dir>': ['folder for the report and all measurements', 'optimize-report'],
  '--when-busy <way>': [
    'when other programs take the CPU: go on and say so; wait before each measurement until they leave it, which is no part of --budget; or compare by the CPU time of a frame, which they hardly change',
    ['go-on', 'wait', 'cpu-time'],
    'go-on',
  ],
  '--resume': 'continue where a run with the same report folder was interrupted',
  '--plan': 'list what would be tried and how long it takes, and measure nothing',
  '--seed <n>': ['start value of everything random', whole('--seed', 0), 1],
  '--review':
    'show what figures cannot settle on a page of 127.0.0.1, and take over what you answer: after the search, or without a pipeline for the report in --report',
  '--answers <file>':
    'answers of a review: they count as labels of these objects; without a pipeline they settle the report in --report',
  '--export-undecided <dir>':
    'without a pipeline: write the pictures of the differences of --report as COCO with boxes to be corrected, for --annotations',
  ...JSON_FLAG,
});
type OptimizeFlags = FlagsOf<typeof FLAGS>;

const SEARCH_WORK: Readonly<Record<WorkKind, string>> = {
  probe: 'engines timed',
  trial: 'runs',
  screen: 'screened',
  pair: 'pairs',
  confirm: 'verdicts',
  compare: 'comparisons',
};

const HELP = `
Examples:
  sightline optimize clip.mp4                                     what five minutes can do with the same detector
  sightline optimize cameras.yaml --target "fps>=25,p99<=80ms" --budget 20m
  sightline optimize cameras.yaml --annotations val.json --images val --max-loss 0.02 --budget 20m --report tuned
  sightline optimize cameras.yaml --plan                          what it would try, without measuring
  sightline optimize --review --report tuned                      settle by a few answers what figures could not

The report folder gets report.html, report.md, best.yaml (run it as it is), result.json, pareto.json and measurements.jsonl. An
interrupted run goes on with --resume. A configuration that fails the quality gate is never used, however fast. With INT8 files from "models compile --precision int8"
that precision is tried, too. Use a quiet machine: windows in which other processes took the CPU are discarded.`;

export function addOptimize(program: Command, io: CliIo): void {
  const command = program
    .command('optimize')
    .argument('[pipeline|input]', 'pipeline file (.yaml) whose first stream is a recording, or a video file');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((subject: string | undefined, flags: OptimizeFlags) => {
      if (subject !== undefined) return runOptimize(subject, flags, io);
      if (flags.review === true || flags.answers !== undefined || flags.exportUndecided !== undefined)
        return runReview(flags, io);
      throw wrongCommand(
        'expected a pipeline file or a video; or --review, --answers or --export-undecided with --report',
      );
    });
}

async function runOptimize(subject: string, flags: OptimizeFlags, io: CliIo): Promise<void> {
  if (flags.exportUndecided !== undefined)
    throw wrongCommand(`--export-undecided: expected no pipeline beside it, received "${subject}"; it reads --report`);
  if (flags.review === true && flags.json === true)
    throw wrongCommand(
      '--json: expected no --review beside it, which would print a second document; give --review alone afterwards',
    );
  const request = await requestOf(subject, flags, io);
  if (flags.plan === true) {
    const plan = await planOptimization(request);
    show(io, flags, plan, () => planText(plan));
    return;
  }
  const outcome = await unlessInterrupted(request, io);
  show(io, flags, outcome, () => outcomeText(outcome));
  if (flags.review === true)
    if (outcome.files.some((file) => file.endsWith(REVIEW_FILE))) await review(flags.report, {}, io);
    else note(io, 'there is nothing that answers would settle, so there is no review');
  if (!outcome.targetsMet) throw new ReportedFailure({ message: 'a target was not met', exitCode: 3 });
}

/** @throws as `optimize`; ReportedFailure after a signal. */
async function unlessInterrupted(request: OptimizeRequest, io: CliIo): Promise<Optimization> {
  try {
    return await optimize(request);
  } catch (error) {
    // A measurement that is stopped can fail with any error.
    if (!io.stop.aborted) throw error;
    const log = join(request.report, 'measurements.jsonl');
    note(io, `interrupted: the measurements so far are in ${log}; the same command with --resume continues with them`);
    throw new ReportedFailure({ message: 'interrupted', exitCode: interruptedCode(io.stop) });
  }
}

/** What a report leaves to people: shows it, takes answers, or hands it to another program. @throws COMMAND_INVALID, CONFIG_INVALID */
async function runReview(flags: OptimizeFlags, io: CliIo): Promise<void> {
  const { report, answers, exportUndecided } = flags;
  if (exportUndecided !== undefined) {
    const written = await exportFrames(await readReview(report), report, exportUndecided);
    show(io, flags, written, () =>
      [
        `${written.pictures} pictures with ${written.boxes} boxes of both detectors: ${written.annotations}, ${written.images}`,
        `correct the boxes, then: sightline optimize PIPELINE --annotations ${shellQuoted(written.annotations)} --images ${shellQuoted(written.images)}`,
      ].join('\n'),
    );
    return;
  }
  const given = answers === undefined ? null : await readAnswers(answers);
  if (flags.review === true) {
    if (given !== null) throw wrongCommand('--answers: expected no --review beside it, which writes them itself');
    await review(report, flags, io);
    return;
  }
  await settle(report, given!, flags, io);
}

/** Serves the review of a report until the page is done or the command is stopped; then settles by what was answered. */
async function review(report: string, flags: Pick<OptimizeFlags, 'json'>, io: CliIo): Promise<void> {
  await readReview(report);
  // A damaged file is said before anybody answers, not written over.
  await keptAnswers(report);
  const server = await serveReview(report);
  try {
    note(io, `open ${server.url}\nCtrl-C ends it; answers are kept in ${join(report, ANSWERS_FILE)}`);
    const stopped = new Promise<void>((resolve) => {
      if (io.stop.aborted) resolve();
      io.stop.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([server.done, stopped]);
  } finally {
    await server.close();
  }
  await settle(report, await keptAnswers(report), flags, io);
}

/** Judges a report by answers; a faster pipeline that they prove becomes the best. */
async function settle(
  report: string,
  given: readonly GivenAnswer[],
  flags: Pick<OptimizeFlags, 'json'>,
  io: CliIo,
): Promise<void> {
  const asked = await readReview(report);
  const verdict = judgeReview(asked, given);
  const files = verdict.state === 'proven' ? await takeFaster(report) : [];
  const back = verdict.state === 'proven' ? null : await giveBack(report);
  if (back !== null) note(io, `${back} is again the one from before the review`);
  if (verdict.unused > 0) note(io, `${verdict.unused} answers are about no object of this review and count nothing`);
  const own = given.filter(({ recording }) => recording === asked.recording).length;
  if (own < given.length)
    note(io, `${given.length - own} of ${given.length} answers are about another recording and count nothing`);
  show(io, flags, { ...verdict, files }, () => reviewText(verdict, files, report));
}

function reviewText(
  { state, candidate, classes, others, more }: ReviewVerdict,
  files: readonly string[],
  report: string,
): string {
  const faster = join(report, 'faster.yaml');
  const result = {
    proven: `${candidate} is proven by your answers: it is ${files[0]} now; the earlier one is ${files[1]}`,
    refused: `${candidate} is refused by your answers; do not use ${faster}`,
    open:
      more === 0
        ? `${candidate} is not worse by your answers; what no answer settles is left to you, in ${faster}`
        : `${candidate} is still open: ${more === null ? 'the pictures do not suffice' : `about ${more} more ${more === 1 ? 'answer' : 'answers'} would settle the classes`}`,
  }[state];
  return [
    ...classes.map(({ label, text }) => `${label}: ${text}`),
    ...others.map((text) => `left to you: ${text}`),
    result,
  ].join('\n');
}

/** @throws COMMAND_INVALID, DATASET_INVALID, FFMPEG_MISSING */
async function requestOf(subject: string, flags: OptimizeFlags, io: CliIo): Promise<OptimizeRequest> {
  const { environment } = io;
  const { maxLoss, seed, calibration, annotations = null, images = null } = flags;
  if (/^\/(?:proc|sys|dev)(?:\/|$)/.test(resolve(flags.report)))
    throw wrongCommand(`--report: expected a folder on a disk, received "${flags.report}"`);
  const pipeline = isPipelineFile(subject) ? loadPipeline(subject) : null;
  const ffmpeg = await openFfmpeg(environment, (text) => note(io, text), pipeline?.decoder);
  const { models = {}, model = modelConfigOf({}) } = pipeline ?? {};
  const read = (path: string): Promise<CocoAnnotations> =>
    annotationsFor(models[flags.detector ?? ''] ?? model, path, io);
  const labels = await labelsOf(annotations, images, '', read);
  const { holdoutAnnotations = null, holdoutImages = null } = flags;
  const holdOut = await labelsOf(holdoutAnnotations, holdoutImages, 'holdout-', read);
  if (holdOut !== null && labels === null)
    throw wrongCommand('--holdout-annotations: expected --annotations and --images too, which the search uses');
  await requireDistinct(labels, holdOut);
  return {
    subject,
    maxLoss,
    seed,
    annotations,
    images,
    environment,
    ffmpeg,
    target: flags.target ?? null,
    labels,
    holdOut,
    sequences: flags.sequences === undefined ? [] : await readTrackSequences(flags.sequences, '--sequences'),
    acceptsCounts: flags.acceptCounts === true,
    // The layers that stay in float are chosen, so the held-out pictures must not choose them.
    quantise:
      calibration === undefined
        ? null
        : quantiser(calibration, splitEvidence(labels, holdOut, []).search.labels, maxLoss, io),
    candidates: flags.candidates ?? null,
    detector: flags.detector,
    levers: flags.levers === undefined ? null : leversOf(flags.levers),
    budgetSeconds: secondsOf(flags.budget),
    report: flags.report,
    resume: flags.resume === true,
    whenBusy: flags.whenBusy,
    asksPeople: flags.review === true || flags.answers !== undefined,
    answers: flags.answers === undefined ? [] : await readAnswers(flags.answers),
    signal: io.stop,
    note: (text) => note(io, text),
    onStep: (step) => note(io, stepText(step)),
  };
}

async function labelsOf(
  annotations: string | null,
  images: string | null,
  prefix: string,
  read: (path: string) => Promise<CocoAnnotations>,
): Promise<Labels | null> {
  if (annotations === null && images === null) return null;
  if (annotations === null || images === null)
    throw wrongCommand(`--${prefix}annotations and --${prefix}images: expected both or neither`);
  return labelsIn(await read(annotations), images);
}

function quantiser(
  calibration: string,
  labels: Labels | null,
  maxLoss: number,
  io: CliIo,
): OptimizeRequest['quantise'] {
  const judged = labels === null ? null : { annotations: labels.annotations, images: labels.folder };
  return async (engine, model, inputSize) => {
    const request = { flags: { inputSize }, calibration, labels: judged, maxLoss, keepFloat: [] };
    await quantiseFor(engine, model, request, io);
  };
}

function leversOf(text: string): LeverId[] {
  return listOf(text).map((word) => {
    const lever = LEVER_IDS.find((id) => id === word);
    if (lever === undefined)
      throw wrongCommand(`--levers: expected some of ${LEVER_IDS.join(', ')}, received "${word}"`);
    return lever;
  });
}

function secondsOf(text: string): number {
  const seconds = durationMs(text, ['s', 'm', 'h']) / 1000;
  if (seconds >= 60 && seconds <= 86_400) return seconds;
  throw wrongCommand(`--budget: expected a time from 60s to 24h, such as 20m, received "${text}"`);
}

function stepText({ lever, from, to, predictedGain, measuredGain, verdict, reason }: Step): string {
  const gain = measuredGain === null ? '' : `, measured ${times(measuredGain)}`;
  return `${lever}: ${from} -> ${to}: predicted ${times(predictedGain)}${gain}: ${verdict} (${reason})`;
}

function planText({ measurements, steps, seconds, whyNone }: SearchPlan): string {
  const counted = new Map<string, { number: number; seconds: number }>();
  for (const { kind, seconds: each } of measurements) {
    const sum = counted.get(kind) ?? { number: 0, seconds: 0 };
    counted.set(kind, { number: sum.number + 1, seconds: sum.seconds + each });
  }
  const rows = [...counted].map(([kind, sum]) => [kind, String(sum.number), `${sum.seconds} s`]);
  const tried = steps.map(({ lever, from, to, predictedGain }) => [lever, from, to, times(predictedGain)]);
  return [
    ...(whyNone === null
      ? [
          'It would try, in this order, by typical costs (measurements may change the order):',
          table([['lever', 'from', 'to', 'predicted'], ...tried]),
        ]
      : [`It would try nothing: ${whyNone}`]),
    '',
    table([['measurements', 'number', 'time'], ...rows]),
    `about ${Math.ceil(seconds / 60)} min`,
  ].join('\n');
}

function outcomeText(outcome: Optimization): string {
  const { baseline, best, bottlenecks, files, measurements, seconds, validity, warnings } = outcome;
  const row = (name: string, side: Optimization['best']): string[] => [
    name,
    `${side.fps.toFixed(1)} fps`,
    side.cpuMsPerFrame === null ? '-' : `${side.cpuMsPerFrame.toFixed(1)} ms`,
    side.ap === null ? '-' : side.ap.toFixed(3),
    side.capacity === null ? '-' : String(side.capacity.cameras),
    Object.values(side.configuration).slice(0, 4).join(' '),
  ];
  const targets = best.targets.map(({ target, state, reason }) => `${target}: ${state} (${reason})`);
  return [
    ...(validity.isValid
      ? validity.reasons
      : ['MEASUREMENT INVALID', ...validity.reasons, 'Repeat it on a machine that does nothing else.', '']),
    table([
      ['', 'rate', 'CPU a frame', outcome.measure ?? 'AP', 'cameras', 'detector'],
      row('baseline', baseline),
      row('best', best),
    ]),
    verdictText(outcome),
    ...fasterText(outcome),
    ...publishedText(outcome.published),
    ...identitiesText(outcome.identities),
    ...outcome.counts.map(countText),
    ...warnings.map((warning) => `look at this class: ${warning}`),
    `${measurements} measurements in ${Math.round(seconds)} s`,
    searchText(outcome),
    `bottleneck before: ${bottlenecks[0]?.explanation ?? 'none was found'}`,
    ...targets,
    `written: ${files.join(', ')}`,
    ...(validity.isValid && outcome.speedup !== null ? [`try it: sightline run ${shellQuoted(files[0]!)}`] : []),
  ].join('\n');
}

function verdictText(outcome: Optimization): string {
  const { speedup, loss, validity, finalists, tried, ended } = outcome;
  const counts = (['refused', 'inconclusive'] as const)
    .map((verdict) => ({ verdict, count: finalists.filter((one) => one.verdict === verdict).length }))
    .filter(({ count }) => count > 0);
  const failed =
    counts.length === 0
      ? ''
      : `; faster ones on the held-out part: ${counts.map(({ verdict, count }) => `${count} ${verdict}`).join(', ')}`;
  if (tried === 0)
    return ended === 'budget'
      ? 'nothing was tried: the time was too short; give a larger --budget'
      : 'nothing was tried: none of the chosen levers has another value here';
  if (speedup === null)
    return validity.isValid
      ? `nothing was proven to be faster${failed}`
      : `nothing was proven to be faster, which says nothing on a busy machine${failed}`;
  const [low, high] = speedup.interval;
  const rate = `${times(speedup.ratio)} the ${rateName(outcome)} (95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}, measured in turn)`;
  if (loss === null) return `${rate}; it detects what the baseline detects${failed}`;
  const bound = loss.upperBound === null ? '' : `, at most ${loss.upperBound.toFixed(3)}`;
  return `${rate}; on the held-out part it loses ${loss.estimate.toFixed(3)}${bound}${failed}`;
}

function rateName({ byCpuTime }: Pick<Optimization, 'byCpuTime'>): string {
  return byCpuTime ? 'frames for the same CPU time' : 'frames per second';
}

function identitiesText(found: Optimization['identities']): string[] {
  if (found === null) return [];
  const { reference, candidate, interval, tracks, identities } = found;
  const [hota, switches] = [identities.hota.map((value) => value.toFixed(3)), identities.switches];
  return [
    `identities on ${tracks} true tracks: IDF1 ${reference.toFixed(3)} before, ${candidate.toFixed(3)} after (loss ${interval.map((end) => end.toFixed(3)).join(' to ')}), HOTA ${hota.join(' and ')}, switches ${switches.join(' and ')}`,
  ];
}

function publishedText(published: Optimization['published']): string[] {
  if (published === null) return [];
  const { recall, precision, thresholds } = published;
  const at = [...new Set(thresholds)].join(' before, ');
  return [
    `at the score threshold (${at}): ${recall.reference.toFixed(3)} of the objects found before, ${recall.candidate.toFixed(3)} after; ${precision.reference.toFixed(3)} of the boxes right before, ${precision.candidate.toFixed(3)} after`,
  ];
}

/** What is faster if people accept it, each open point on a line of its own. */
function fasterText(outcome: Optimization): string[] {
  const { faster, baseline, measure } = outcome;
  if (faster === null) return [];
  const { speedup, ap, differences, file } = faster;
  const quality =
    ap === null
      ? ''
      : `, ${measure ?? 'AP'} ${ap.toFixed(3)}${baseline.ap === null ? '' : ` (today ${baseline.ap.toFixed(3)})`}`;
  const [low, high] = speedup.interval;
  return [
    `faster, if you accept ${differences.length === 1 ? 'one difference' : `${differences.length} differences`}: ${times(speedup.ratio)} the ${rateName(outcome)} (${low.toFixed(2)} to ${high.toFixed(2)})${quality}, in ${file}`,
    ...differences.map(({ text }) => `  ${text}`),
  ];
}

/** What the time of the search went into, and why it ended. */
function searchText({ searched, ended, predictions }: Optimization): string {
  const { seconds, budgetSeconds, counts, spentSeconds } = searched;
  const parts = Object.entries(SEARCH_WORK)
    .filter(([kind]) => counts[kind as WorkKind] > 0)
    .map(([kind, name]) => `${counts[kind as WorkKind]} ${name} ${Math.round(spentSeconds[kind as WorkKind])} s`);
  const why = ended === 'budget' ? 'there was more to try' : 'nothing else was worth a run';
  const accuracy =
    predictions === null
      ? ''
      : `; predictions were ${Math.round(predictions.medianError * 100)} % off (median of ${predictions.count})`;
  return `search: ${Math.round(seconds)} of ${Math.round(budgetSeconds)} s: ${parts.join(', ')}; ${why}${accuracy}`;
}

function countText({ kind, id, reference, candidate }: Optimization['counts'][number]): string {
  const text = (values: readonly number[]): string => values.map((value) => Number(value.toFixed(2))).join(' + ');
  return `${kind} ${id}: ${text(reference)} before, ${text(candidate)} after`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} x`;
}
