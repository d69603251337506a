"""The loop that a Python user would write: OpenCV reads, ONNX Runtime detects, numpy decodes.

Usage: opencv_onnxruntime_loop.py MODEL.onnx VIDEO --seconds 10 --warm-up 2 [--boxes OUT.json]

Prints one JSON document. With --boxes it first reads the video once and writes the boxes of every frame in source pixels, as
[[[x, y, w, h, score, class], ...], ...]. The model is YOLOX with input [1, 3, H, W] in BGR, 0..255, letterboxed at the top
left, and output [1, cells, 85].
"""

import argparse
import json
import platform
import time

import cv2
import numpy as np
import onnxruntime

from opencv_yolox import clip, decode, grid, letterbox, pictures

class Detector:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.height, self.width = self.input.shape[2:]
        self.cells, self.strides = grid(self.width, self.height)

    def __call__(self, picture):
        tensor, ratio = letterbox(picture, self.width, self.height)
        output = self.session.run(None, {self.input.name: tensor})[0][0]
        return clip(decode(output, self.cells, self.strides, ratio), picture.shape)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--boxes")
    arguments = parser.parse_args()
    detect = Detector(arguments.model)
    if arguments.boxes is not None:
        boxes = [detect(picture).tolist() for picture in pictures(arguments.video, False)]
        with open(arguments.boxes, "w", encoding="utf-8") as file:
            json.dump(boxes, file)
    print(json.dumps(measure(detect, arguments)))


def measure(detect, arguments):
    source = pictures(arguments.video, True)
    warm_until = time.perf_counter() + arguments.warm_up
    while time.perf_counter() < warm_until:
        detect(next(source))
    latencies = []
    cpu = time.process_time()
    start = before = time.perf_counter()
    while before - start < arguments.seconds:
        # From the decoded picture to its boxes, as Sightline measures latency.
        picture = next(source)
        decoded = time.perf_counter()
        detect(picture)
        before = time.perf_counter()
        latencies.append((before - decoded) * 1000)
    frames = len(latencies)
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99))
    return {
        "frames": frames,
        "seconds": before - start,
        "fps": frames / (before - start),
        # Of all threads of this process.
        "cpuMsPerFrame": (time.process_time() - cpu) * 1000 / frames,
        "latencyMs": {"p50": p50, "p95": p95, "p99": p99, "max": max(latencies)},
        "versions": {
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
        },
    }


if __name__ == "__main__":
    main()
