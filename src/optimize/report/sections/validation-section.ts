import { heading, measured, paragraph, type Section, shellQuoted } from '../document.ts';
import { counted, percent } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { hostLoad } from '../host-plan.ts';
import type { ReportInput } from '../report-input.ts';

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

function loadTests({ options }: ReportInput, planned: number, limit: number): readonly string[] {
  const target = options.target === null ? '' : ` --target ${shellQuoted(options.target)}`;
  const test = (flags: string): string => `sightline loadtest ${shellQuoted(options.bestPath)} ${flags}${target}`;
  return [
    test(`--profile baseline --cameras ${Math.max(1, planned)}`),
    test(`--profile peak --cameras ${Math.max(1, limit)}`),
    test('--profile stress'),
    test(`--profile endurance --cameras ${Math.max(1, planned)} --minutes 480`),
  ];
}

function evaluation({ options, best }: ReportInput): string {
  const { model, engine, precision, inputSize } = best.configuration;
  const annotations = options.annotations === null ? 'ANNOTATIONS.json' : shellQuoted(options.annotations);
  const images = options.images === null ? 'PICTURES' : shellQuoted(options.images);
  return `sightline eval ${annotations} --images ${images} --model ${shellQuoted(model)} --engine ${engine} --precision ${precision} --input-size ${inputSize}`;
}
