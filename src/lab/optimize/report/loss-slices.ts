import type { LossEstimate } from '../../../network/evaluate/loss-bootstrap.ts';
import type { QualityFigure } from './report-input.ts';

/** Loss of one kind of objects, or of the files with one tag. */
export interface Slice extends LossEstimate {
  readonly by: 'size' | 'class' | 'tag';
  readonly name: string;
  /** What there was to judge by. */
  readonly pictures?: number;
  readonly objects?: number;
}

/** The greatest loss first. */
export function slicesOf({ bySize, byTag, byClass }: QualityFigure): readonly Slice[] {
  const slices: Slice[] = [
    ...bySize.map(({ size, ...rest }) => ({ ...rest, by: 'size' as const, name: size })),
    ...byTag.map(({ tag, ...rest }) => ({ ...rest, by: 'tag' as const, name: tag })),
    ...byClass.map(({ label, units, ...rest }) => ({ ...rest, by: 'class' as const, name: label, pictures: units })),
  ];
  return slices.sort((a, b) => b.loss - a.loss);
}
