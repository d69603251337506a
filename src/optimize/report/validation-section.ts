import { describeConfiguration, furtherDifferences } from './configuration-text.ts';
import { amount, capacityText, counted, duration, fps, ms, percent, whole } from './figures.ts';
import { type Findings, trialIn } from './findings.ts';
import { hostLoad } from './host-plan.ts';
import { LOAD_TESTS, type LoadTest } from './load-tests.ts';
import { anchor, code, folded, listing, type Markdown, md, measured, shellQuoted, strong, table } from './markdown.ts';
import type { ReportCapacity, ReportInput, ReportMeasurement } from './report-input.ts';

/** The load tests and the roll-out that show whether the result holds outside of this run, as commands. */
export function validationSection({ input, after }: Findings): Markdown {
  const { best, options } = input;
  const load = hostLoad(best.capacity, after.fps, options.cameraFps, options.headroomRatio);
  const ids = measured(...(best.capacity?.measurements ?? [best.measurement]));
  return folded(
    'Validation',
    md`This run measured on one machine for minutes. Test it before you depend on it: ${counted(load.planned, 'camera')}, the planned load, then ${counted(load.cameras, 'camera')}, the limit${ids}; then up to the break point, then for hours.`,
    listing('sh', loadTests(input, load.planned, load.cameras)),
    results(input.loadTests, best.capacity),
    'Quality on your own pictures:',
    listing('sh', [evaluation(input)]),
    md`A roll-out in steps, to ${percent(0.01)} of the streams first. It rolls back by itself if a guard fails; a person can hold it or undo it.`,
    listing('sh', [
      `sightline rollout start --pipeline ${shellQuoted(options.bestPath)} --steps 1,10,50,100 --hold 60s`,
      'sightline rollout status',
      'sightline rollout undo',
    ]),
  );
}

/** The cameras are those that the capacity was measured with, so that both can be compared. */
function loadTests({ options, best }: ReportInput, planned: number, limit: number): readonly string[] {
  const wanted = best.capacity?.target ?? options.target;
  const target = wanted === null ? '' : ` --target ${shellQuoted(wanted)}`;
  const cameras = ` --camera-fps ${options.cameraFps} --camera-size ${options.pictureSize}`;
  const test = (profile: string, count: number, flags = ''): string =>
    `sightline loadtest ${shellQuoted(options.bestPath)} --profile ${profile} --cameras ${Math.max(1, count)}${flags}${cameras}${target}` +
    ` --report ${shellQuoted(`${options.reportDir}/${LOAD_TESTS}/${profile}`)}`;
  return [
    test('baseline', planned),
    test('peak', limit),
    test('stress', planned),
    test('endurance', planned, ' --minutes 480'),
  ];
}

function results(tests: readonly LoadTest[], capacity: ReportCapacity | null): Markdown {
  if (tests.length === 0)
    return md`None has been run yet. The same ${code('optimize')} command with ${code('--resume')} repeats no measurement and shows their results here.`;
  return table(tests, {
    'Load test': ({ profile }) => profile,
    Date: ({ createdAt }) => createdAt.slice(0, 10),
    '>Length': ({ seconds }) => duration(seconds),
    '>Most cameras': ({ cameras }) => `${amount(cameras.count)} over ${cameras.protocol}`,
    Verdict: ({ verdict }) => strong(verdict),
    Found: (test) => findingOf(test, capacity),
  });
}

/** What the load test found, in words; for a break point beside what the optimisation measured. */
function findingOf({ breakPoint, recoverySeconds, slopes, steps, reason }: LoadTest, capacity: ReportCapacity | null) {
  if (breakPoint !== null) {
    const { cameras, isProven, brokenAt, firstToGive } = breakPoint;
    const gave =
      brokenAt === null ? '' : `, ${amount(brokenAt)} do not; first to give way: ${firstToGive ?? 'unknown'}`;
    const recovered = recoverySeconds === null ? '' : `; recovered within ${duration(recoverySeconds)}`;
    return `${capacityText(cameras, isProven)}${gave}${recovered}${predictedText(cameras, steps, capacity)}`;
  }
  if (slopes.length === 0) return reason;
  const growing = slopes
    .filter(({ verdict }) => verdict !== 'steady')
    .map(({ figure, verdict }) => `${figure} ${verdict}`);
  return growing.length === 0 ? `nothing grows: ${slopes.length} figures are steady` : growing.join(', ');
}

function predictedText(cameras: number, steps: LoadTest['steps'], capacity: ReportCapacity | null): string {
  const step = steps.find((one) => one.cameras > 0 && one.offeredFps > 0);
  if (capacity === null || step === undefined || capacity.cameras === 0) return '';
  const predicted = (capacity.cameras * capacity.cameraFps) / (step.offeredFps / step.cameras);
  return `; this run predicted ${whole(predicted)} (${percent(cameras / predicted - 1)} off)`;
}

function evaluation({ options, best }: ReportInput): string {
  const { model, engine, precision, inputSize } = best.configuration;
  const annotations = options.annotations === null ? 'ANNOTATIONS.json' : shellQuoted(options.annotations);
  const images = options.images === null ? 'PICTURES' : shellQuoted(options.images);
  return `sightline eval ${annotations} --images ${images} --model ${shellQuoted(model)} --engine ${engine} --precision ${precision} --input-size ${inputSize}`;
}

/** Every measurement, with what it measured and its result. */
export function measurementsSection({ input }: Findings): Markdown {
  const { measurements, baseline, machine } = input;
  const total = measurements.reduce((sum, record) => sum + record.seconds, 0);
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return folded(
    'Measurements',
    md`${counted(measurements.length, 'measurement')} in ${duration(total)}. Each is a line of ${code('measurements.jsonl')} with everything that was recorded. Machine: ${machine.cpuModel}, ${counted(machine.cores, 'core')}, ${amount(machine.memoryBytes / 2 ** 30)} GiB${versions.length === 0 ? '' : `; ${versions.join(', ')}`}.`,
    table(measurements, {
      Id: ({ id }) => anchor(id),
      What: ({ kind, scenario }) => `${kind}, ${scenario}`,
      Configuration: ({ configuration: own }) =>
        [describeConfiguration(own), ...furtherDifferences(own, baseline.configuration)].join('; '),
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
