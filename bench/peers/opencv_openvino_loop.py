"""The loop that a Python user with an Intel CPU would write: OpenCV reads, OpenVINO's AsyncInferQueue detects, numpy decodes.

Usage: opencv_openvino_loop.py MODEL.onnx VIDEO --seconds 10 --warm-up 2 --precision bf16

Prints one JSON document. The model is the YOLOX of opencv_onnxruntime_loop.py, or a CenterNet with u8 pictures as input. OpenVINO
runs with its throughput hint and chooses its streams and requests; the precision is the one that Sightline uses.
"""

import argparse
import json
import platform
import time

import cv2
import numpy as np
import openvino

from opencv_yolox import clip, decode, grid, letterbox, pictures


SCORE = 0.3


class Yolox:
    """f32 [1, 3, height, width], letterboxed."""

    def __init__(self, model):
        self.height, self.width = list(model.input(0).shape)[2:]
        self.cells, self.strides = grid(self.width, self.height)

    def prepare(self, picture):
        return letterbox(picture, self.width, self.height)

    def boxes(self, output, ratio, shape):
        return clip(decode(output, self.cells, self.strides, ratio), shape)


class CenterNet:
    """u8 [1, height, width, 3], stretched; returns x1, y1, x2, y2, score, class."""

    def __init__(self, model):
        dims = model.input(0).partial_shape
        self.height, self.width = dims[1].get_length(), dims[2].get_length()
        model.reshape([1, self.height, self.width, 3])

    def prepare(self, picture):
        resized = cv2.resize(picture, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)[None], None

    def boxes(self, output, _ratio, shape):
        rows = output[output[:, 4] >= SCORE]
        scale = np.array((shape[1] / self.width, shape[0] / self.height))
        low, high = np.maximum(rows[:, :2] * scale, 0), np.minimum(rows[:, 2:4] * scale, (shape[1], shape[0]))
        return np.concatenate((low, high - low, rows[:, 4:]), 1)


class Loop:
    def __init__(self, path, precision):
        core = openvino.Core()
        hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        model = core.read_model(path)
        is_u8 = model.input(0).element_type == openvino.Type.u8
        self.network = CenterNet(model) if is_u8 else Yolox(model)
        compiled = core.compile_model(model, "CPU", hints)
        self.queue = openvino.AsyncInferQueue(compiled)
        self.queue.set_callback(self.done)
        self.latencies = []

    def done(self, request, frame):
        decoded, ratio, shape = frame
        self.network.boxes(request.get_output_tensor(0).data[0], ratio, shape)
        self.latencies.append((time.perf_counter() - decoded) * 1000)

    def run(self, source, seconds):
        self.latencies = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            picture = next(source)
            decoded = time.perf_counter()
            tensor, ratio = self.network.prepare(picture)
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
