import type { OverloadReport, Remedy } from '../../wire/protocol/overload.ts';
import type { BusyStage } from '../../wire/protocol/report.ts';
import type { OverloadFacts, RemedyFacts } from './judge-overload.ts';

const WORK: Readonly<Record<BusyStage, string>> = {
  decode: 'decoding',
  preprocess: 'scaling',
  infer: 'detection',
  main: 'the main thread',
};
/** Cameras whose broken rules a sentence names. */
const BROKEN_SHOWN = 3;
/** What is left where decoding less does not help. */
const ELSEWHERE = 'read smaller streams of the cameras, or fewer';

/** Says in English what is short and what helps. */
export function overloadReport(facts: OverloadFacts): Omit<OverloadReport, 'sinceMs'> {
  const { stage, cause, lack, askedFps, doneFps, othersCores } = facts;
  const remedies = facts.remedies.map(remedyOf);
  return {
    stage,
    cause,
    lack,
    askedFps,
    doneFps,
    ...(othersCores === null ? {} : { othersCores }),
    text: sentence(facts, remedies),
    remedies,
  };
}

function sentence(
  { stage, cause, lack, askedFps, doneFps, othersCores, cores }: OverloadFacts,
  remedies: readonly Remedy[],
): string {
  const others = othersCores === null ? '' : `other programs use ${othersCores.toFixed(1)} of ${cores} cores`;
  const what = cause === 'others' ? others : `${WORK[stage]} cannot keep up`;
  const figures =
    lack === 'late'
      ? 'frames are published too late'
      : `you ask ${fpsText(askedFps)} frames/s, this machine does ${fpsText(doneFps)}`;
  const also = cause === 'work' && others !== '' ? `; ${others}` : '';
  const ways = remedies.length === 0 && stage === 'decode' ? ELSEWHERE : remedies.map(({ text }) => text).join(', or ');
  const text = `${what}: ${figures}${also}${ways === '' ? '' : `: ${ways}`}`;
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function remedyOf(facts: RemedyFacts): Remedy {
  const { fps, streamFps } = facts;
  switch (facts.kind) {
    case 'rate':
      return {
        kind: 'rate',
        text: rateText(facts),
        fps,
        streamFps,
        isEstimate: false,
        basis: 'what this host infers now',
        changes: facts.changes,
        ...(facts.breaks.length === 0 ? {} : { breaks: facts.breaks }),
      };
    case 'model':
      return {
        kind: 'model',
        text: `use ${facts.model.name}: about ${fpsText(streamFps!)}`,
        fps,
        streamFps,
        isEstimate: true,
        basis: facts.model.basis,
        changes: [],
        model: facts.model.name,
      };
    case 'decode':
      return {
        kind: 'decode',
        text: `decode ${facts.frames} frames only${fps === null ? ', as many as the sources have' : `: about ${fpsText(fps)} frames/s`}`,
        fps,
        streamFps,
        isEstimate: true,
        basis: `decoding ${facts.frames} frames takes about ${Math.round(100 * facts.timeShare)} % of the time of all, as measured on other videos`,
        changes: facts.changes,
      };
  }
}

function rateText({ rate, ruledRate, streams, breaks }: Extract<RemedyFacts, { kind: 'rate' }>): string {
  const ruled = ruledRate === null ? '' : `, to ${fpsText(ruledRate)} where rules need it`;
  const more = breaks.length > BROKEN_SHOWN ? ` and ${breaks.length - BROKEN_SHOWN} more` : '';
  const named = breaks
    .slice(0, BROKEN_SHOWN)
    .map(({ stream, rules }) => `${rules.join(', ')} of ${stream}`)
    .join('; ');
  const each = streams > 1 ? ' each' : '';
  return `lower the rate to ${fpsText(rate)} frames/s${each}${ruled}${named === '' ? '' : `, too few for ${named}${more}`}`;
}

/** Two digits, or a whole number. */
function fpsText(fps: number): string {
  return fps >= 10 ? fps.toFixed(0) : `${Number(fps.toPrecision(2))}`;
}
