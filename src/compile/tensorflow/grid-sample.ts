import { intOf, textOf } from '../attributes.ts';
import type { EmissionRule } from './emission.ts';

/** GridSample. */
export const emitGridSample: EmissionRule = (emission, node) => {
  throw emission.unsupported(node, `${intOf(node, 'align_corners', 0)} ${textOf(node, 'mode', 'bilinear')}`);
};
