import type { LeverId } from '../../result.ts';
import { describeStep, LEVERS, MODEL_LEVERS } from '../configuration-text.ts';
import { measured, paragraph, type Section, type Text } from '../document.ts';
import { factor } from '../figures.ts';
import { type Findings, isMeasured } from '../findings.ts';
import { stepsTable, untouched } from './steps-table.ts';

/** How the network is run: engine, threads, batches, decoding, resizing, skipped work. */
export function inferenceSection({ input }: Findings): Section {
  const levers = LEVERS.filter((lever) => !MODEL_LEVERS.has(lever));
  const steps = input.steps.filter(({ lever }) => !MODEL_LEVERS.has(lever));
  const missing = untouched(levers, steps);
  const explained = [...new Set(steps.map(({ lever }) => lever))];
  return {
    id: 'inference',
    title: 'Inference optimisations',
    blocks: [
      paragraph('How the network is run. Nothing here changes its weights.'),
      steps.length === 0 ? paragraph('None was tried.') : { kind: 'table', table: stepsTable(steps) },
      ...(explained.length === 0
        ? []
        : [{ kind: 'list' as const, items: explained.map((lever): Text => [input.levers[lever].sentence]) }]),
      ...(missing.length === 0 || steps.length === 0 ? [] : [paragraph(`Not tried: ${missing.join(', ')}.`)]),
    ],
  };
}

/** Techniques for language models that have a counterpart here, and the levers that are it. */
const COUNTERPARTS: readonly LeverId[] = ['maxBatch', 'precision'];

/** Why techniques for language models do not apply, and what was measured of their counterparts. */
export function languageModelsSection({ input }: Findings): Section {
  const tried = input.steps.filter(isMeasured).filter(({ lever }) => COUNTERPARTS.includes(lever));
  const counterparts: Text =
    tried.length === 0
      ? [
          'Batches across streams and smaller number formats are the counterparts that exist; neither was measured in this run.',
        ]
      : [
          'What does have a counterpart was measured: ',
          ...tried.flatMap(
            (step, i): Text => [
              `${i === 0 ? '' : '; '}${describeStep(step)} ${factor(step.measuredGain)}, ${step.verdict}`,
              measured(...step.measurements),
            ],
          ),
          '.',
        ];
  return {
    id: 'language-models',
    title: 'Language-model techniques',
    blocks: [
      paragraph(
        'Not applicable. A key-value cache, paged attention, speculative decoding, prefix caching and continuous batching of tokens save work between the tokens that a language model generates one after the other. A detector runs once per frame on an input of fixed size: it keeps no state between frames and generates no sequence. ',
        ...counterparts,
      ),
    ],
  };
}
