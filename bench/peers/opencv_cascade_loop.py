"""The cascade that a Python user would write: OpenCV reads, ONNX Runtime detects, and a second network looks at each object.

Usage: opencv_cascade_loop.py YOLOX.onnx VIDEO --crops CLASSIFIER.onnx --seconds 10 --warm-up 2

Prints one JSON document. The detector is that of opencv_onnxruntime_loop.py. The classifier takes f32 BGR [1, 3, H, W], 0..255, stretched;
it looks at the eight largest objects of a frame whose shorter side has at least 16 pixels.
"""

import argparse
import json

import cv2
import numpy as np
import onnxruntime

from opencv_onnxruntime_loop import Detector, measure

MOST = 8
LEAST_PX = 16


class Cascade:
    def __init__(self, detector, classifier):
        self.detect = Detector(detector)
        self.session = onnxruntime.InferenceSession(classifier, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.height, self.width = self.input.shape[2:]
        self.frames, self.crops = 0, 0

    def __call__(self, picture):
        rows = [row for row in self.detect(picture) if min(row[2], row[3]) >= LEAST_PX]
        rows.sort(key=lambda row: -row[2] * row[3])
        for x, y, width, height in np.asarray([row[:4] for row in rows[:MOST]]).round().astype(int):
            crop = cv2.resize(picture[y : y + height, x : x + width], (self.width, self.height))
            self.session.run(None, {self.input.name: crop.transpose(2, 0, 1)[None].astype(np.float32)})
            self.crops += 1
        self.frames += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("detector")
    parser.add_argument("video")
    parser.add_argument("--crops", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=1)
    arguments = parser.parse_args()
    cascade = Cascade(arguments.detector, arguments.crops)
    result = measure(cascade, arguments)
    print(json.dumps({**result, "cropsPerFrame": cascade.crops / cascade.frames}))


if __name__ == "__main__":
    main()
