import { describeConfiguration, describeStep } from '../configuration-text.ts';
import { type Block, code, type KeyFigure, measured, type Section, strong, type Text } from '../document.ts';
import { factor, fps, ms, percent, score, signedScore, times, whole } from '../figures.ts';
import type { Findings, MeasuredStep } from '../findings.ts';

/** Three sentences: where it was, where it is, what to do first. */
export function summarySection(findings: Findings): Section {
  const figures: Block = { kind: 'key-figures', figures: keyFigures(findings) };
  const sentences = [whereItWas(findings), whereItIs(findings), whatToDoFirst(findings)];
  return { id: 'summary', title: 'Summary', blocks: [{ kind: 'lead', sentences }, figures] };
}

function whereItWas({ input, before }: Findings): Text {
  const { quality, baseline } = input;
  const ap = quality?.kind === 'ap' ? [` and an AP of ${score(quality.baseline)}`] : [];
  return [
    'The pipeline as it was, ',
    code(describeConfiguration(baseline.configuration)),
    ', ran at ',
    strong(fps(before.fps)),
    ` with a p99 of ${ms(before.latencyMs.p99)}`,
    ...ap,
    measured(baseline.measurement, ...(quality?.kind === 'ap' ? quality.measurements : [])),
    '.',
  ];
}

function whereItIs({ input, after, speedup, hasChanged }: Findings): Text {
  const { best, quality, skipped, options } = input;
  if (!hasChanged) return ['No change that was tried is faster and keeps the quality, so it stays as it is.'];
  const missed = best.targets.filter(({ state }) => state !== 'met').map(({ target }) => target);
  const verdict =
    options.target === null
      ? []
      : missed.length === 0
        ? ['; it meets every target']
        : ['; it does not meet the target ', ...missed.flatMap((target, i) => [i === 0 ? '' : ' and ', code(target)])];
  return [
    'The best configuration, ',
    code(describeConfiguration(best.configuration)),
    ', runs at ',
    strong(`${fps(after.fps)}, ${times(speedup)}`),
    ` the rate, with a p99 of ${ms(after.latencyMs.p99)}`,
    measured(best.measurement),
    ...(quality === null
      ? ['; its quality was not judged']
      : [
          ` and ${quality.kind === 'ap' ? 'an AP' : 'an F1'} of ${score(quality.best)}, `,
          quality.loss <= 0
            ? 'which is no loss'
            : `a loss of ${score(quality.loss)} where ${score(quality.allowed)} was allowed`,
          measured(...quality.measurements),
        ]),
    ...(skipped === null
      ? []
      : [
          `; on video it agrees with inference of every frame with an F1 of ${score(skipped.f1)}`,
          measured(...skipped.measurements),
        ]),
    ...verdict,
    '.',
  ];
}

function whatToDoFirst({ input, adopted, hasChanged }: Findings): Text {
  const [worst] = input.bottlenecks;
  if (!hasChanged) {
    if (worst === undefined) return ['Nothing holds it back that a lever could change.'];
    return [
      `First, look at ${worst.part}, which is busy ${percent(worst.busyRatio)} of the time`,
      measured(...worst.measurements),
      `: ${worst.remedy}`,
    ];
  }
  const first = largest(adopted);
  const run: Text = ['First, run ', code(`sightline run ${input.options.bestPath}`), ' beside the old pipeline'];
  if (first === null) return [...run, '.'];
  return [
    ...run,
    '; of its changes, ',
    strong(describeStep(first)),
    ` brings most, ${times(first.measuredGain)} the rate`,
    measured(...first.measurements),
    '.',
  ];
}

function largest(steps: readonly MeasuredStep[]): MeasuredStep | null {
  return steps.reduce<MeasuredStep | null>(
    (most, step) => (most === null || step.measuredGain > most.measuredGain ? step : most),
    null,
  );
}

function keyFigures({ input, before, after, speedup }: Findings): readonly KeyFigure[] {
  const { baseline, best, quality, skipped } = input;
  const latency = before.latencyMs.p99 / after.latencyMs.p99;
  const figures: KeyFigure[] = [
    {
      label: 'Rate',
      before: fps(before.fps),
      after: fps(after.fps),
      change: factor(speedup),
      tone: speedup >= 1 ? 'good' : 'bad',
    },
    {
      label: 'p99 of the latency',
      before: ms(before.latencyMs.p99),
      after: ms(after.latencyMs.p99),
      change: latency >= 1 ? `${times(latency)} shorter` : `${times(1 / latency)} longer`,
      tone: latency >= 1 ? 'good' : 'bad',
    },
  ];
  if (before.cpuMsPerFrame !== null && after.cpuMsPerFrame !== null) {
    const saved = before.cpuMsPerFrame.total / after.cpuMsPerFrame.total;
    figures.push({
      label: 'CPU a frame',
      before: ms(before.cpuMsPerFrame.total),
      after: ms(after.cpuMsPerFrame.total),
      change: saved >= 1 ? `${times(saved)} less` : `${times(1 / saved)} more`,
      tone: saved >= 1 ? 'good' : 'bad',
    });
  }
  if (quality !== null)
    figures.push({
      label: quality.kind === 'ap' ? 'Average precision' : 'Agreement (F1)',
      before: score(quality.baseline),
      after: score(quality.best),
      change: signedScore(-quality.loss),
      tone: quality.loss <= 0 ? 'good' : quality.loss <= quality.allowed ? 'neutral' : 'bad',
    });
  if (skipped !== null)
    figures.push({
      label: 'Agreement with inference of every frame (F1)',
      before: score(1),
      after: score(skipped.f1),
      change: signedScore(skipped.f1 - 1),
      tone: 'neutral',
    });
  if (baseline.capacity !== null && best.capacity !== null)
    figures.push({
      label: 'Cameras within the targets',
      before: whole(baseline.capacity.cameras),
      after: whole(best.capacity.cameras),
      change: baseline.capacity.cameras === 0 ? '' : factor(best.capacity.cameras / baseline.capacity.cameras),
      tone: best.capacity.cameras >= baseline.capacity.cameras ? 'good' : 'bad',
    });
  return figures;
}
