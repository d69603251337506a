import {
  code,
  heading,
  link,
  measured,
  paragraph,
  type Section,
  shellQuoted,
  type Text,
  tableOf,
} from '../document.ts';
import { factor, ms, percent, score, signedScore } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { DISTILLED, PRUNED, PRUNED_TIME, type PrunedResult } from '../published-results.ts';

/** What pruning and distillation, which need training, would bring for this model, by published results. */
export function trainingSection(findings: Findings): Section {
  const { model } = findings.input.best.configuration;
  return {
    id: 'training',
    title: 'Pruning and distillation',
    blocks: [
      paragraph(
        'Both need training data and days on a GPU, so nothing here was measured: the figures are what others published, on COCO val2017. What they would mean for ',
        code(model),
        ' is computed from its measured share of the work.',
      ),
      heading('Pruning: a smaller network, less accurate until it is trained again'),
      { kind: 'table', table: prunedTable(findings) },
      paragraph(...pruningText(findings)),
      heading('Distillation: the same speed, more accurate'),
      { kind: 'table', table: distilledTable() },
      paragraph(...distillationText(findings)),
      heading('How to bring such a model in'),
      paragraph(
        'Export it as ONNX with the same classes, put it into a folder and name the folder. It is then timed, judged and compared like every other candidate.',
      ),
      {
        kind: 'listing',
        language: 'sh',
        lines: [`sightline optimize ${shellQuoted(findings.input.subject)} --candidates candidates`],
      },
    ],
  };
}

/** Gain of the whole if inference takes `keptRatio` of its CPU time; null where CPU time was not measured. */
export function gainOfPruning({ after }: Findings, keptRatio: number): number | null {
  if (after.cpuMsPerFrame === null) return null;
  const { total, infer } = after.cpuMsPerFrame;
  return total / (total - infer * (1 - keptRatio));
}

function prunedTable(findings: Findings) {
  return tableOf(
    ['Network', '>Work left', '>AP before', '>AP after', '>Change', '>Gain here, at most', 'Source'],
    PRUNED.map((result) => {
      const gain = gainOfPruning(findings, result.keptRatio);
      return [
        result.network,
        percent(result.keptRatio),
        score(result.apBefore),
        score(result.apAfter),
        signedScore(result.apAfter - result.apBefore),
        gain === null ? '–' : factor(gain),
        [link(result.source.name, result.source.url)],
      ];
    }),
  );
}

function pruningText(findings: Findings): Text {
  const { after, input } = findings;
  const small = PRUNED[0]!;
  const gain = gainOfPruning(findings, small.keptRatio);
  const { removedRatio, savedRatio, network, source } = PRUNED_TIME;
  const time = `The time falls by less than the work: ${network} lost ${percent(removedRatio)} of its work and ${percent(savedRatio)} of its time on a phone's CPU (`;
  const measuredPart: Text =
    gain === null || after.cpuMsPerFrame === null
      ? ['The CPU time of inference was not measured here, so no gain is computed. ']
      : [
          `Inference takes ${ms(after.cpuMsPerFrame.infer)} of ${ms(after.cpuMsPerFrame.total)} CPU a frame`,
          measured(input.best.measurement),
          `, so removing ${percent(1 - small.keptRatio)} of its work gains at most ${factor(gain)}. `,
        ];
  return [
    ...measuredPart,
    time,
    link(source.name, source.url),
    '). ',
    againstAllowance(small, input.quality?.allowed ?? null),
  ];
}

/** Says whether the published loss would pass the gate. */
function againstAllowance({ network, apBefore, apAfter }: PrunedResult, allowed: number | null): string {
  const loss = apBefore - apAfter;
  if (allowed === null) return `Small networks have little to spare: ${network} lost ${score(loss)}.`;
  return loss > allowed
    ? `Small networks have little to spare: ${network} lost ${score(loss)}, more than the ${score(allowed)} that are allowed here.`
    : `${network} lost ${score(loss)}, within the ${score(allowed)} that are allowed here.`;
}

function distilledTable() {
  return tableOf(
    ['Network', '>AP before', '>AP after', '>Change', 'Source'],
    DISTILLED.map(({ network, apBefore, apAfter, source }) => [
      network,
      score(apBefore),
      score(apAfter),
      signedScore(apAfter - apBefore),
      [link(source.name, source.url)],
    ]),
  );
}

/** Smallest and largest published gain of AP. */
export function distillationRange(): readonly [number, number] {
  const gains = DISTILLED.map(({ apBefore, apAfter }) => apAfter - apBefore);
  return [Math.min(...gains), Math.max(...gains)];
}

function distillationText({ input }: Findings): Text {
  const [low, high] = distillationRange();
  const range = `Published gains are ${score(low)} to ${score(high)} AP at unchanged speed. `;
  const near = input.refusals
    .filter(({ loss, allowed }) => loss !== null && loss > allowed && loss - allowed <= high)
    .sort((a, b) => a.loss! - b.loss!)[0];
  if (near === undefined)
    return [
      range,
      'No configuration was refused by so little that this would bring it in; it would raise the accuracy of what runs.',
    ];
  const { configuration, loss, allowed, measurements } = near;
  return [
    range,
    'That would bring in what the gate refused: ',
    code(`${configuration.model} ${configuration.inputSize}, ${configuration.precision}`),
    ` loses ${score(loss!)}, ${score(loss! - allowed)} too much`,
    measured(...measurements),
    '.',
  ];
}
