import { type Block, heading, measured, paragraph, type Section, shellQuoted, tableOf } from '../document.ts';
import { amount, counted, duration, percent, whole } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { hostLoad } from '../host-plan.ts';
import { LOAD_TESTS, type LoadTest } from '../load-tests.ts';
import type { ReportCapacity, ReportInput } from '../report-input.ts';

/** The load tests and the roll-out that show whether the result holds outside of this run, as commands. */
export function validationSection({ input, after }: Findings): Section {
  const { best, options } = input;
  const load = hostLoad(best.capacity, after.fps, options.cameraFps, options.headroomRatio);
  const ids = measured(...(best.capacity?.measurements ?? [best.measurement]));
  return {
    id: 'validation',
    title: 'Validation',
    blocks: [
      paragraph(
        `This run measured on one machine for minutes. Before anybody depends on it: ${counted(load.planned, 'camera')}, the planned load, then ${counted(load.cameras, 'camera')}, the limit`,
        ids,
        '; then up to where it breaks, then for hours.',
      ),
      heading('Load tests'),
      { kind: 'listing', language: 'sh', lines: loadTests(input, load.planned, load.cameras) },
      ...loadTestResults(input.loadTests, best.capacity),
      heading('Quality on your own pictures'),
      { kind: 'listing', language: 'sh', lines: [evaluation(input)] },
      heading('Roll-out'),
      paragraph(
        `In steps, to ${percent(0.01)} of the streams first. It goes back by itself if a guard fails; `,
        'a person can hold it or undo it.',
      ),
      {
        kind: 'listing',
        language: 'sh',
        lines: [
          `sightline rollout start --pipeline ${shellQuoted(options.bestPath)} --steps 1,10,50,100 --hold 60s`,
          'sightline rollout status',
          'sightline rollout undo',
        ],
      },
    ],
  };
}

/** The cameras are those that the capacity was measured with, so that both can be compared. */
function loadTests({ options, best }: ReportInput, planned: number, limit: number): readonly string[] {
  const wanted = best.capacity?.target ?? options.target;
  const target = wanted === null ? '' : ` --target ${shellQuoted(wanted)}`;
  const cameras = ` --camera-fps ${options.cameraFps} --camera-size ${options.pictureSize}`;
  const test = (profile: string, flags = ''): string =>
    `sightline loadtest ${shellQuoted(options.bestPath)} --profile ${profile}${flags}${cameras}${target}` +
    ` --report ${shellQuoted(`${options.reportDir}/${LOAD_TESTS}/${profile}`)}`;
  return [
    test('baseline', ` --cameras ${Math.max(1, planned)}`),
    test('peak', ` --cameras ${Math.max(1, limit)}`),
    test('stress', ` --cameras ${Math.max(1, planned)}`),
    test('endurance', ` --cameras ${Math.max(1, planned)} --minutes 480`),
  ];
}

function loadTestResults(tests: readonly LoadTest[], capacity: ReportCapacity | null): readonly Block[] {
  if (tests.length === 0)
    return [
      paragraph(
        'None has been run yet. The same `optimize` command with `--resume` measures nothing again and shows their results here.',
      ),
    ];
  const rows = tests.map((test) => [
    test.profile,
    test.createdAt.slice(0, 10),
    duration(test.seconds),
    `${amount(test.cameras.count)} over ${test.cameras.protocol}`,
    { text: [test.verdict], tone: TONES[test.verdict] },
    findingOf(test, capacity),
  ]);
  const columns = ['Load test', 'Date', '>Length', '>Most cameras', 'Verdict', 'Found'];
  return [{ kind: 'table', table: tableOf(columns, rows) }];
}

const TONES = { met: 'good', missed: 'bad', 'not enough frames': 'neutral' } as const;

/** What the load test found, in words; for a break point beside what the optimisation measured. */
function findingOf({ breakPoint, recoverySeconds, slopes, steps, reason }: LoadTest, capacity: ReportCapacity | null) {
  if (breakPoint !== null) {
    const { cameras, brokenAt, firstToGive } = breakPoint;
    const gave =
      brokenAt === null ? '' : `, ${amount(brokenAt)} do not; first to give way: ${firstToGive ?? 'unknown'}`;
    const recovered = recoverySeconds === null ? '' : `; recovered within ${duration(recoverySeconds)}`;
    return `${counted(cameras, 'camera')} hold${gave}${recovered}${predictedText(cameras, steps, capacity)}`;
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
