"""Shared by the Python loops: reading pictures, letterboxing at the top left, and decoding YOLOX boxes."""

import cv2
import numpy as np

SCORE = 0.3
NMS_IOU = 0.65
STRIDES = (8, 16, 32)


def letterbox(picture, width, height):
    ratio = min(width / picture.shape[1], height / picture.shape[0])
    size = (round(picture.shape[1] * ratio), round(picture.shape[0] * ratio))
    canvas = np.full((height, width, 3), 114, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None].astype(np.float32)), ratio


def grid(width, height):
    cells, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride]
        cells.append(np.stack((x.ravel(), y.ravel()), 1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode(output, cells, strides, ratio):
    classes = output[:, 5:].argmax(1)
    scores = output[:, 4] * output[np.arange(len(output)), classes + 5]
    keep = scores >= SCORE
    if not keep.any():
        return np.empty((0, 6), np.float32)
    output, cells, strides = output[keep], cells[keep], strides[keep]
    size = np.exp(output[:, 2:4]) * strides
    corner = (output[:, :2] + cells) * strides - size / 2
    boxes = np.concatenate((corner, size), 1) / ratio
    scores, classes = scores[keep], classes[keep]
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), SCORE, NMS_IOU)
    kept = np.asarray(kept, int).ravel()
    return np.concatenate((boxes[kept], scores[kept, None], classes[kept, None]), 1)


def clip(rows, shape):
    if len(rows) == 0:
        return rows
    low = np.maximum(rows[:, :2], 0)
    high = np.minimum(rows[:, :2] + rows[:, 2:4], (shape[1], shape[0]))
    rows[:, :2], rows[:, 2:4] = low, high - low
    return rows


def pictures(path, is_looped):
    while True:
        video = cv2.VideoCapture(path)
        while True:
            ok, picture = video.read()
            if not ok:
                break
            yield picture
        video.release()
        if not is_looped:
            return
