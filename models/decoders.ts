import type { ModelFamily, ReaderFamily } from '../src/base/core/model.ts';
import { decodeCenternet } from './centernet/decode.ts';
import { decodeClassifier } from './classifier/decode.ts';
import { decodeCtc } from './ctc/decode.ts';
import type { Decode } from './decoder.ts';
import { decodeDeimv2 } from './deimv2/decode.ts';
import { decodeDetr } from './detr/decode.ts';
import { decodeEmbedding } from './embedding/decode.ts';
import { decodeGfl } from './gfl/decode.ts';
import { decodeHeads } from './heads/decode.ts';
import { decodeLabels } from './labels/decode.ts';
import { decodeRtmdet } from './rtmdet/decode.ts';
import { decodeRtmpose } from './rtmpose/decode.ts';
import { decodeSlots } from './slots/decode.ts';
import { decodeSsd } from './ssd/decode.ts';
import { decodeYoloEnd2end } from './yolo-end2end/decode.ts';
import { decodeYolov5 } from './yolov5/decode.ts';
import { decodeYolov5Seg } from './yolov5-seg/decode.ts';
import { decodeYolov8 } from './yolov8/decode.ts';
import { decodeYolov8Obb } from './yolov8-obb/decode.ts';
import { decodeYolov8Pose } from './yolov8-pose/decode.ts';
import { decodeYolov8Seg } from './yolov8-seg/decode.ts';
import { decodeYolox } from './yolox/decode.ts';
import { decodeYunet } from './yunet/decode.ts';

/** The decode function of each family. */
export const DECODERS: Readonly<Record<ModelFamily | ReaderFamily, Decode>> = {
  centernet: decodeCenternet,
  yolox: decodeYolox,
  yolov5: decodeYolov5,
  yolov8: decodeYolov8,
  'yolo-end2end': decodeYoloEnd2end,
  detr: decodeDetr,
  deimv2: decodeDeimv2,
  ssd: decodeSsd,
  gfl: decodeGfl,
  rtmdet: decodeRtmdet,
  'rtmdet-ins': decodeRtmdet,
  'yolov5-seg': decodeYolov5Seg,
  'yolov8-seg': decodeYolov8Seg,
  'yolov8-pose': decodeYolov8Pose,
  'yolov8-obb': decodeYolov8Obb,
  rtmpose: decodeRtmpose,
  yunet: decodeYunet,
  classifier: decodeClassifier,
  heads: decodeHeads,
  labels: decodeLabels,
  ctc: decodeCtc,
  slots: decodeSlots,
  embedding: decodeEmbedding,
};
