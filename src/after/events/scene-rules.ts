import { BLIND_SIGNS } from '../../base/core/blind-sign.ts';
import { footOf } from '../../frame/track/anchor.ts';
import { isInside } from '../../frame/track/zones.ts';
import { placeOf, ruleKind, seconds } from './rule-kind.ts';

// Rules about what is seen as a whole: how many objects, the picture, the stream.

export const count = ruleKind('count', {
  isByShare: true,
  // Of boxes, not of tracks: a rate that is too low to follow objects is enough to count them.
  holds: ({ zone: id, labels, minScore = 0, minSize = 0, above, below }, { frame, zones }) => {
    const zone = id === undefined ? null : (zones.get(id) ?? null);
    if (frame === null || (id !== undefined && zone === null)) return [];
    const found = frame.detections.filter((detection) => {
      const { label, score, box } = detection;
      if (labels?.includes(label) === false || zone?.labels?.has(label) === false) return false;
      const size = box[3] / frame.height;
      if (score < Math.max(minScore, zone?.minScore ?? 0) || size < Math.max(minSize, zone?.minSize ?? 0)) return false;
      if (zone === null) return true;
      const { x, y } = footOf(detection, zone.anchor);
      return isInside(zone.polygon, x / frame.width, y / frame.height);
    }).length;
    const isMet = (above === undefined || found > above) && (below === undefined || found < below);
    return isMet ? [{ key: '', count: found }] : [];
  },
  sentence: (rule, { count: found = 0 }) => {
    const { above, below, labels } = rule;
    const limits = [above === undefined ? [] : `more than ${above}`, below === undefined ? [] : `fewer than ${below}`];
    const what = labels === undefined ? (found === 1 ? 'object' : 'objects') : `of ${labels.join(', ')}`;
    return `${found} ${what}${placeOf(rule)}, ${limits.flat().join(' and ')}`;
  },
});

export const picture = ruleKind('picture', {
  holds: ({ signs }, { troubles }) =>
    troubles
      .filter(({ sign }) => ((signs ?? BLIND_SIGNS) as readonly string[]).includes(sign))
      .map(({ sign, since }) => ({ key: sign, sign, since })),
  sentence: (_rule, { sign }) => (sign === 'moved' ? 'the camera has moved' : `the picture is ${sign}`),
});

export const stream = ruleKind('stream', {
  holds: ({ troubles: wanted }, { troubles }) =>
    troubles
      .filter(({ sign }) => (wanted as readonly string[] | undefined)?.includes(sign) !== false)
      .map(({ sign, since }) => ({ key: sign, sign, since })),
  sentence: (_rule, { sign }, heldS) =>
    `the stream ${sign === 'down' ? 'has been down' : 'has missed its target'} for ${seconds(heldS)}`,
});
