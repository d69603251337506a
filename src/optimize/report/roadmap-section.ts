import { LEVERS, type Lever } from '../levers/levers.ts';
import { describeConfiguration } from './configuration-text.ts';
import { factor, fps, percent, score, whole } from './figures.ts';
import type { Findings } from './findings.ts';
import { code, folded, link, type Markdown, md, measured, shellQuoted, table } from './markdown.ts';
import type { ReportSide, ReportTrial } from './report-input.ts';

export interface RoadmapRow {
  readonly what: Markdown;
  /** Ratio of rates of this row alone; null if it does not change the rate. */
  readonly gain: number | null;
  readonly basis: keyof typeof CONFIDENCE;
  readonly effort: keyof typeof DAYS;
  readonly risk: string;
  readonly needs: string;
  /** Once this row and those above it are done. */
  readonly fpsAfter: number;
  /** null if no number of cameras was measured. */
  readonly camerasAfter: number | null;
}

/** Published on COCO val2017, with fine-tuning after the pruning; the smallest loss and range of gains found for small networks. */
const PRUNED = {
  ...{ network: 'YOLOv8n', keptRatio: 0.59, apLoss: 0.04 },
  url: 'https://huggingface.co/TCLResearchEurope/yolov8n_pruned_59',
};
const DISTILLED = {
  apGain: [0.008, 0.011],
  url: 'https://github.com/open-mmlab/mmyolo/blob/main/configs/rtmdet/README.md',
} as const;
const CONFIDENCE = { measured: 1, predicted: 0.5, published: 0.25 } as const;
const DAYS = { minutes: 0.1, hours: 0.5, days: 3, weeks: 15 } as const;
/** A smaller gain is no plan. */
const LEAST_GAIN = 1.05;

type Sketch = Omit<RoadmapRow, 'fpsAfter' | 'camerasAfter'>;

/** What the pipeline runs with once the first row is done: the best configuration where it may be used, else the baseline. */
interface Start {
  readonly isBest: boolean;
  readonly trial: ReportTrial;
  readonly fps: number;
  readonly side: ReportSide;
}

function startOf({ input, before, after, outcome }: Findings): Start {
  const isBest = outcome === 'faster' || outcome === 'counts differ';
  const { speedup, baseline, best } = input;
  return isBest
    ? { isBest, trial: after, fps: speedup?.afterFps ?? after.fps, side: best }
    : { isBest, trial: before, fps: speedup?.beforeFps ?? before.fps, side: baseline };
}

/**
 * What to do, best first: by (gain - 1) times confidence over effort. Using the best configuration comes before all that builds on it.
 * Nothing is in it that only measures again.
 */
export function roadmapOf(findings: Findings): readonly RoadmapRow[] {
  const start = startOf(findings);
  const worth = ({ gain, basis, effort }: Sketch): number => ((gain ?? 1) - 1) * (CONFIDENCE[basis] / DAYS[effort]);
  const others = [...remedies(findings, start), ...undecided(findings, start), ...training(start)];
  let gains = 1;
  const after = (row: Sketch): RoadmapRow => {
    const cameras = start.side.capacity?.cameras ?? null;
    const camerasAfter = cameras === null ? null : Math.floor(cameras * gains + 1e-9);
    return { ...row, fpsAfter: start.fps * gains, camerasAfter };
  };
  return [
    ...(start.isBest ? [after(adopt(findings))] : []),
    ...others
      .sort((a, b) => worth(b) - worth(a))
      .map((row) => {
        gains *= row.gain ?? 1;
        return after(row);
      }),
  ];
}

function adopt({ input, outcome }: Findings): Sketch {
  return {
    what: md`Try it with ${code(`sightline run ${shellQuoted(input.options.bestPath)}`)} and roll it out in steps${measured(...(input.speedup?.measurements ?? []))}`,
    ...{ gain: input.speedup!.ratio, basis: 'measured', effort: 'minutes' },
    risk: 'low: it rolls back by itself if a guard fails',
    needs: outcome === 'faster' ? 'nothing' : 'your consent to other counts',
  };
}

/** Limits of the start whose lever the search did not try. */
function remedies({ input }: Findings, { isBest }: Start): Sketch[] {
  const tried = new Set<string>(input.steps.map(({ lever }) => lever));
  return (isBest ? input.nextBottlenecks : input.bottlenecks)
    .filter(({ lever, predictedGain }) => predictedGain >= LEAST_GAIN && (lever === null || !tried.has(lever)))
    .map(({ part, remedy, lever, predictedGain, measurements }): Sketch => {
      const facts: Lever | undefined = LEVERS[lever as keyof typeof LEVERS];
      return {
        what: md`${remedy.replace(/\.$/, '')} (limit: ${part})${measured(...measurements)}`,
        ...{
          gain: predictedGain,
          basis: 'predicted',
          effort: facts === undefined ? 'days' : (facts.effort ?? 'minutes'),
        },
        risk: facts === undefined ? 'none for the detections' : `${facts.risk}: ${facts.riskReason}`,
        needs: lever === 'hwaccel' ? 'a GPU or a media engine' : 'a change of the set-up',
      };
    });
}

/** The fastest configuration that more evidence on its quality would decide, if it is faster than the start. */
function undecided({ input, after, verdict, outcome }: Findings, start: Start): Sketch[] {
  const { configuration, measurement } = input.best;
  const unjudged = outcome === 'quality open' && verdict === null;
  const rate = input.speedup?.afterFps ?? after.fps;
  const found = [
    ...input.finalists.filter((one) => one.verdict === 'inconclusive' || one.verdict === 'not judged'),
    ...(unjudged
      ? [{ configuration, fps: rate, reason: 'no held-out part judged it', measurements: [measurement] }]
      : []),
  ].sort((a, b) => b.fps - a.fps)[0];
  if (found === undefined || found.fps / start.fps < LEAST_GAIN) return [];
  return [
    {
      what: md`Settle the quality of ${describeConfiguration(found.configuration)}${measured(...found.measurements)}`,
      ...{ gain: found.fps / start.fps, basis: 'predicted', effort: 'days' },
      risk: found.reason,
      needs: input.options.annotations === null ? 'labelled pictures, or a longer recording' : 'more labelled pictures',
    },
  ];
}

/** What pruning and distillation could bring, by what others published. */
function training({ trial, side }: Start): Sketch[] {
  const { model } = side.configuration;
  return [
    {
      what: md`Prune ${model} and train it again, bring it in with ${code('--candidates')}`,
      ...{ gain: gainOfPruning(trial), basis: 'published', effort: 'weeks' },
      risk: `${PRUNED.network} lost ${score(PRUNED.apLoss)} AP`,
      needs: 'training data, a GPU for days',
    },
    {
      what: md`Distil ${model} from a larger network: +${score(DISTILLED.apGain[0])} to +${score(DISTILLED.apGain[1])} AP at the same rate`,
      ...{ gain: null, basis: 'published', effort: 'weeks' },
      risk: 'low: the gate judges it',
      needs: 'training data, a GPU for days',
    },
  ];
}

/** Gain of the whole, at most, if pruning saves as much of the time for inference as of the work; null if CPU time was not measured. */
function gainOfPruning({ cpuMsPerFrame }: ReportTrial): number | null {
  if (cpuMsPerFrame === null) return null;
  const { total, infer } = cpuMsPerFrame;
  return total / (total - infer * (1 - PRUNED.keptRatio));
}

export function roadmapSection(findings: Findings): Markdown {
  return folded(
    'Roadmap',
    md`By (gain − 1) × confidence ÷ effort; confidence is ${percent(CONFIDENCE.measured)} for what was measured, ${percent(CONFIDENCE.predicted)} for what was predicted, ${percent(CONFIDENCE.published)} for what others published. Rate and cameras are those once the row and all above it are done.`,
    table(roadmapOf(findings), {
      '>Nr': (_, place) => whole(place + 1),
      What: ({ what }) => what,
      '>Gain': ({ gain }) => factor(gain),
      Basis: ({ basis }) => basis,
      Effort: ({ effort }) => effort,
      Risk: ({ risk }) => risk,
      'It needs': ({ needs }) => needs,
      '>Rate after it': ({ fpsAfter }) => fps(fpsAfter),
      '>Cameras after it': ({ camerasAfter }) => whole(camerasAfter),
    }),
    md`Pruning and distillation were not measured: the figures are those that others published (${link('YOLOv8n with 59 % of its work left', PRUNED.url)}, ${link('RTMDet', DISTILLED.url)}). A model made so is timed and judged like every other candidate in the folder of ${code('--candidates')}.`,
  );
}
