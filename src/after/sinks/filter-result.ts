import type { PublishedFrame } from '../../base/core/frame.ts';
import type { FilterConfig } from './sink-settings.ts';

/**
 * Removes the detections and crossings of a result that a sink leaves out.
 *
 * @returns null if the sink leaves out the whole frame; the same object if nothing is removed.
 */
export function filterResult(
  frame: PublishedFrame,
  { labels, minScore = 0, frames }: FilterConfig,
): PublishedFrame | null {
  const hasLabel = ({ label }: { readonly label: string }): boolean => labels === undefined || labels.includes(label);
  const detections = frame.detections.filter((each) => each.score >= minScore && hasLabel(each));
  const crossings = frame.crossings?.filter(hasLabel);
  if (frames === 'detections' && detections.length === 0) return null;
  if (frames === 'crossings' && (crossings === undefined || crossings.length === 0)) return null;
  const isSame = detections.length === frame.detections.length && crossings?.length === frame.crossings?.length;
  if (isSame) return frame;
  return { ...frame, detections, ...(crossings === undefined ? {} : { crossings }) };
}
