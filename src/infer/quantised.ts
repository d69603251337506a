import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineRequest } from '../protocol/threads.ts';
import type { OnnxFacts } from './onnx-facts.ts';

/**
 * Checks that the requested precision fits the file: quantised files run in int8, and only those.
 *
 * @throws ENGINE_UNAVAILABLE
 */
export function checkQuantised(
  engine: string,
  { model, precision = 'auto' }: Pick<EngineRequest, 'model' | 'precision'>,
  { isQuantised }: OnnxFacts,
): void {
  if (precision === 'auto' || (precision === 'int8') === isQuantised) return;
  const why = isQuantised
    ? `${model.spec.name} is quantised and computed in int8, received precision ${precision}; use auto or int8`
    : `${model.spec.name} is not quantised, received precision int8. Use a manifest whose file was quantised to INT8 (operators ` +
      'QuantizeLinear and DequantizeLinear)';
  throw new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine}: ${why}`, { precision });
}
