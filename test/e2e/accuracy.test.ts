import { describe } from 'vitest';
import { ACCURACY_CELLS, reachesItsAp } from '../support/accuracy.ts';
import { sharedDir } from '../support/shared.ts';

/** Two cells of the table in `accuracy.long.test.ts`, the quick ones of each engine. */
describe.skipIf(sharedDir === null)('the AP of two detectors on COCO (needs the shared folder)', () => {
  const quick = (model: string, engine: string): boolean =>
    (model === 'yolox-nano' && engine === 'onnx') || (model === 'picodet-s' && engine === 'openvino');
  reachesItsAp(ACCURACY_CELLS.filter(([model, engine, precision]) => precision === 'f32' && quick(model, engine)));
});
