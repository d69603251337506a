/** What others measured with techniques that need training. Shown with their sources; nothing here was measured by Sightline. */

export interface PrunedResult {
  readonly network: string;
  /** Share of the multiplications that is left. */
  readonly keptRatio: number;
  /** AP before and after, 0 to 1. */
  readonly apBefore: number;
  readonly apAfter: number;
  readonly source: Source;
}

export interface DistilledResult {
  readonly network: string;
  readonly apBefore: number;
  readonly apAfter: number;
  readonly source: Source;
}

export interface Source {
  readonly name: string;
  readonly url: string;
}

const TCL_59: Source = {
  name: 'TCL Research Europe, model card yolov8n_pruned_59',
  url: 'https://huggingface.co/TCLResearchEurope/yolov8n_pruned_59',
};
const TCL_43: Source = {
  name: 'TCL Research Europe, model card yolov8n_pruned_43',
  url: 'https://huggingface.co/TCLResearchEurope/yolov8n_pruned_43',
};
const PADDLE: Source = {
  name: 'PaddleDetection 0.2, compression benchmark, input 608',
  url: 'https://github.com/PaddlePaddle/PaddleDetection/blob/release/0.2/slim/README.md',
};
const RTMDET: Source = {
  name: 'OpenMMLab, MMYOLO, RTMDet results',
  url: 'https://github.com/open-mmlab/mmyolo/blob/main/configs/rtmdet/README.md',
};
const FGD: Source = {
  name: 'Yang et al., Focal and Global Knowledge Distillation for Detectors, CVPR 2022',
  url: 'https://arxiv.org/abs/2111.11837',
};

/** COCO val2017, AP at IoU 0.5 to 0.95, with fine-tuning after the pruning. Small networks first. */
export const PRUNED: readonly PrunedResult[] = [
  { network: 'YOLOv8n', keptRatio: 0.59, apBefore: 0.373, apAfter: 0.333, source: TCL_59 },
  { network: 'YOLOv8n', keptRatio: 0.43, apBefore: 0.373, apAfter: 0.299, source: TCL_43 },
  { network: 'YOLOv3 MobileNetV1', keptRatio: 0.6573, apBefore: 0.293, apAfter: 0.302, source: PADDLE },
  { network: 'YOLOv3 MobileNetV1', keptRatio: 0.3036, apBefore: 0.293, apAfter: 0.278, source: PADDLE },
  {
    network: 'YOLOv3 MobileNetV1, distilled as well',
    keptRatio: 0.3036,
    apBefore: 0.293,
    apAfter: 0.29,
    source: PADDLE,
  },
];

/** COCO val2017. The network and its speed stay the same. */
export const DISTILLED: readonly DistilledResult[] = [
  { network: 'RTMDet-tiny, from RTMDet-s', apBefore: 0.41, apAfter: 0.418, source: RTMDET },
  { network: 'RTMDet-s, from RTMDet-m', apBefore: 0.446, apAfter: 0.457, source: RTMDET },
  { network: 'YOLOv3 MobileNetV1, from YOLOv3 ResNet34', apBefore: 0.293, apAfter: 0.314, source: PADDLE },
  { network: 'RetinaNet ResNet-50', apBefore: 0.374, apAfter: 0.407, source: FGD },
];

/** Multiplications removed by pruning, and the share of the time that this saved on a phone's CPU. */
export const PRUNED_TIME = {
  network: 'YOLOv3 MobileNetV1',
  removedRatio: 0.6957,
  /** Snapdragon 855, four threads. */
  savedRatio: 0.5743,
  source: PADDLE,
} as const;
