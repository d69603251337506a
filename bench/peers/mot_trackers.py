"""Runs trackers of other projects on given detections, with their defaults.

usage: mot_trackers.py DETECTIONS FPS FRAMES EVERY OUT_DIR
DETECTIONS is a file as MOTChallenge has it, with scores from 0 to 1. OUT_DIR gets a file of results for each tracker; frame numbers stay those
of the sequence. A tracker whose package is not installed is left out.
"""
import collections
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
detections_path, fps, frames, every, out_dir = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
rate = fps / every

boxes = collections.defaultdict(list)
for line in open(detections_path):
    values = [float(value) for value in line.replace(",", " ").split()]
    if len(values) >= 7:
        boxes[int(values[0])].append(values[2:7])


def write(name, rows):
    with open(f"{out_dir}/{name}.txt", "w") as file:
        for frame, identity, x, y, w, h, score in rows:
            file.write(f"{frame},{int(identity)},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f},-1,-1,-1\n")


def used():
    return range(1, frames + 1, every)


def supervised(update):
    import supervision as sv

    for frame in used():
        found = np.array(boxes[frame]) if boxes[frame] else np.zeros((0, 5))
        given = sv.Detections(
            xyxy=np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]]),
            confidence=found[:, 4],
            class_id=np.zeros(len(found), int),
        )
        result = update(given)
        ids = [] if result.tracker_id is None else result.tracker_id
        for (x1, y1, x2, y2), score, identity in zip(result.xyxy, result.confidence, ids):
            if identity is not None and identity >= 0:
                yield frame, identity, x1, y1, x2 - x1, y2 - y1, score


def supervision_bytetrack():
    import supervision as sv

    return supervised(sv.ByteTrack(frame_rate=rate).update_with_detections)


def of_trackers(name):
    import trackers

    return supervised(getattr(trackers, name)(frame_rate=rate).update)


def norfair_tracker():
    import norfair

    tracker = norfair.Tracker("iou", 0.7, hit_counter_max=30, initialization_delay=3)
    for frame in used():
        given = [
            norfair.Detection(np.array([[x, y], [x + w, y + h]]), np.array([score] * 2), data=(frame, x, y, w, h, score))
            for x, y, w, h, score in boxes[frame]
            if score >= 0.25
        ]
        for track in tracker.update(given):
            seen, *rest = track.last_detection.data
            if seen == frame:
                yield (frame, track.id, *rest)


PEERS = {
    "supervision ByteTrack": supervision_bytetrack,
    "trackers SORT": lambda: of_trackers("SORTTracker"),
    "trackers ByteTrack": lambda: of_trackers("ByteTrackTracker"),
    "trackers OC-SORT": lambda: of_trackers("OCSORTTracker"),
    "trackers C-BIoU": lambda: of_trackers("CBIoUTracker"),
    "norfair": norfair_tracker,
}
for name, run in PEERS.items():
    try:
        write(name, list(run()))
    except (ImportError, AttributeError) as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
