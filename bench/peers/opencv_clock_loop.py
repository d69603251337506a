"""Read a stream with OpenCV's VideoCapture, and the camera's clock from each picture (src/frame/infer/clock-code.ts).

usage: opencv_clock_loop.py URL --transport tcp|udp --seconds S --warm-up S
Prints JSON: {"latenciesMs": [...], "versions": {...}}. The clock is CLOCK_MONOTONIC in ticks of 0.1 ms, modulo 2**23.
"""
import argparse
import json
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument('url')
parser.add_argument('--transport', default='tcp')
parser.add_argument('--seconds', type=float, default=5)
parser.add_argument('--warm-up', type=float, default=1)
parser.add_argument('--options', default='', help='more of OPENCV_FFMPEG_CAPTURE_OPTIONS')
args = parser.parse_args()
os.environ['OPENCV_FFMPEG_CAPTURE_OPTIONS'] = f'rtsp_transport;{args.transport}{args.options}'
import cv2  # noqa: E402

COLUMNS, ROWS, VALUE_BITS, CHECK_BITS = 8, 4, 23, 9


def read_clock(picture):
    height, width = picture.shape[:2]
    code = 0
    for cell in range(COLUMNS * ROWS):
        x = int((cell % COLUMNS + 0.5) * width / COLUMNS)
        y = int((cell // COLUMNS + 0.5) * height / ROWS)
        code = code * 2 + int(picture[y, x, 1] > 128)
    value = code >> CHECK_BITS
    check = (((value + 1) * 0x9E3779B1) & 0xFFFFFFFF) >> (32 - CHECK_BITS)
    return value if code & ((1 << CHECK_BITS) - 1) == check else None


capture = cv2.VideoCapture(args.url, cv2.CAP_FFMPEG)
latencies = []
started = None
while True:
    ok, picture = capture.read()
    if not ok:
        break
    now = time.monotonic_ns() // 100_000
    started = now if started is None else started
    if now - started > (args.warm_up + args.seconds) * 10_000:
        break
    ticks = read_clock(picture)
    if ticks is not None and now - started > args.warm_up * 10_000:
        latencies.append(((now - ticks) % 2**VALUE_BITS) / 10)
print(json.dumps({'latenciesMs': latencies, 'versions': {'opencv': cv2.__version__}}))
