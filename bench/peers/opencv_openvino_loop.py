"""The loop that a Python user with an Intel CPU would write: OpenCV reads, OpenVINO's AsyncInferQueue detects, numpy decodes.

Usage: opencv_openvino_loop.py MODEL.onnx VIDEO --seconds 10 --warm-up 2 --precision bf16

Prints one JSON document. The model is the YOLOX of opencv_onnxruntime_loop.py. OpenVINO runs with its throughput hint and
chooses its streams and requests; the precision is the one that Sightline uses.
"""

import argparse
import json
import platform
import time

import cv2
import numpy as np
import openvino

from opencv_yolox import clip, decode, grid, letterbox, pictures


class Loop:
    def __init__(self, path, precision):
        core = openvino.Core()
        hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        compiled = core.compile_model(path, "CPU", hints)
        self.height, self.width = list(compiled.input(0).shape)[2:]
        self.cells, self.strides = grid(self.width, self.height)
        self.queue = openvino.AsyncInferQueue(compiled)
        self.queue.set_callback(self.done)
        self.latencies = []

    def done(self, request, frame):
        decoded, ratio, shape = frame
        output = request.get_output_tensor(0).data[0]
        clip(decode(output, self.cells, self.strides, ratio), shape)
        self.latencies.append((time.perf_counter() - decoded) * 1000)

    def run(self, source, seconds):
        self.latencies = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            picture = next(source)
            decoded = time.perf_counter()
            tensor, ratio = letterbox(picture, self.width, self.height)
            self.queue.start_async({0: tensor}, (decoded, ratio, picture.shape))
        self.queue.wait_all()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--precision", default="f32")
    arguments = parser.parse_args()
    loop = Loop(arguments.model, arguments.precision)
    source = pictures(arguments.video, True)
    loop.run(source, arguments.warm_up)
    cpu = time.process_time()
    start = time.perf_counter()
    loop.run(source, arguments.seconds)
    elapsed = time.perf_counter() - start
    frames = len(loop.latencies)
    p50, p95, p99 = np.percentile(loop.latencies, (50, 95, 99))
    result = {
        "frames": frames,
        "seconds": elapsed,
        "fps": frames / elapsed,
        # Of all threads of this process.
        "cpuMsPerFrame": (time.process_time() - cpu) * 1000 / frames,
        "latencyMs": {"p50": p50, "p95": p95, "p99": p99, "max": max(loop.latencies)},
        "versions": {
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "openvino": openvino.__version__,
            "numpy": np.__version__,
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
