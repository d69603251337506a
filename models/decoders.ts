import type { ModelFamily } from '../src/core/model.ts';
import { decodeCenternet } from './centernet/decode.ts';
import type { Decode } from './decoder.ts';
import { decodeDeimv2 } from './deimv2/decode.ts';
import { decodeGfl } from './gfl/decode.ts';
import { decodeYolox } from './yolox/decode.ts';

/** The decode function of each family. */
export const DECODERS: Readonly<Record<ModelFamily, Decode>> = {
  centernet: decodeCenternet,
  yolox: decodeYolox,
  deimv2: decodeDeimv2,
  gfl: decodeGfl,
};
