"""Runs that never trained: people who walk through noise, what a detector would find of them, and a run's files."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.data.index import FrameIndex
from jde_lightning.inference.cache import CachedSequence, CacheOrigin, DetectionCache, write_cache
from jde_lightning.inference.report.validation_pass import frame_groups, frame_numbers
from jde_lightning.structures import Detections, FrameAnnotations

SIZE = (192, 128)
FRAMES = 24
EMBED_DIM = 16
SEQUENCES = {"walk": 7, "stroll": 5}
METRICS = """epoch,lr-SGD,step,train/box_loss,train/reid_loss,val/hota,val/hota_motion,val/map50_95,val/retrieval_map
,0.1,0,,,,,,
0,,1,2.5,1.5,,,,
0,,2,2.25,1.25,,,,
0,,2,,,0.25,0.20,0.125,0.5
1,,3,1.5,0.75,,,,
1,,4,,,0.375,0.30,0.25,0.625
"""
CONFIG = """
trainer: {max_epochs: 2}
model: {conf: 0.001}
data: {root: nowhere, val: [{class_path: MOTChallenge, init_args: {path: .}}]}
"""


def write_frames(folder, sequences=None, identities=True):
    """Annotations of people who walk past each other, with images of noise."""
    rng = np.random.default_rng(3)
    frames = []
    for name, people in (SEQUENCES if sequences is None else sequences).items():
        start = rng.uniform((50, 20), (110, 30), (people, 2))
        speed = rng.uniform((-2.5, -0.4), (2.5, 0.4), (people, 2))
        for number in range(1, FRAMES + 1):
            path = folder / name / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
            corner = (start + speed * number).round()
            boxes = np.concatenate([corner, corner + np.array([16, 40])], axis=1)
            ids = np.arange(1, people + 1) if identities else np.full(people, -1)
            zeros, ones = np.zeros(people), np.ones(people)
            frames.append(
                FrameAnnotations(path, *SIZE, boxes, zeros, ids, zeros, ones, "walkers", name, number, frame_rate=10)
            )
    return FrameIndex.from_frames(frames)


def detect(frames, seed=5, noise=0.5, embeddings=True):
    """What a detector finds: most people, a little off; looks that drift; some boxes where nobody is."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(10, EMBED_DIM))
    drift = rng.normal(size=(10, EMBED_DIM))
    found = []
    for frame in frames:
        seen = np.flatnonzero(rng.random(len(frame)) < 0.7)
        boxes = frame.boxes[seen] + rng.normal(0, 1, (len(seen), 4))
        vectors = looks[seen] + drift[seen] * frame.frame / 24 + rng.normal(0, noise, (len(seen), EMBED_DIM))
        left, top = rng.uniform(0, 60, 2)
        boxes = np.concatenate([boxes, [[left, top, left + 20, top + 30]]])
        vectors = np.concatenate([vectors, rng.normal(size=(1, EMBED_DIM))]).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = np.append(rng.uniform(0.5, 1, len(seen)), rng.uniform(0.02, 0.3))
        found.append(Detections(boxes, scores, None, vectors if embeddings else None))
    return found


def keep_detections(run, index, **options):
    """Write what the detector finds where an earlier report would have left it; return it by group."""
    groups = frame_groups(index)
    every = {name: [index.frame(p) for p in positions.tolist()] for name, positions in groups.items()}
    found = {name: detect(frames, seed=9 + k, **options) for k, (name, frames) in enumerate(every.items())}
    sequences = [
        CachedSequence(name, 10.0, *SIZE, frame_numbers(index, positions), found[name])
        for name, positions in groups.items()
    ]
    write_cache(run / "report" / "detections.npz", DetectionCache(sequences, CacheOrigin("best.ckpt", "0" * 64)))
    return every, found


def write_run(folder, metrics=METRICS, config=CONFIG):
    """A run's folder without weights."""
    folder.mkdir(parents=True)
    if metrics is not None:
        (folder / "metrics.csv").write_text(metrics)
    if config is not None:
        (folder / "config.yaml").write_text(config)
    return folder


class Page(HTMLParser):
    """A page taken apart: its elements must close in order.

    Attributes:
        sections: text of each section by its id.
        charts: Plotly figures by the id of their element.
        addresses: everything that a browser would load.
        text: all that is no script or style.
    """

    VOID = ("meta", "img", "br", "circle", "path", "link", "input")

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.sections, self.charts, self.data, self.addresses, self.ids, self.text = {}, {}, {}, [], [], ""
        self._open, self._chart, self._name = [], None, None
        self.feed(self.source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data", "poster") and value]
        self.addresses += re.findall(r"url\((.*?)\)", values.get("style") or "")
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in self.VOID:
            self._open.append((tag, values.get("id") if tag == "section" else None))
        if tag == "section":
            self.sections[values["id"]] = ""
        if tag == "script":
            self._chart, self._name = values.get("data-chart"), values.get("id")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        assert self._open, f"closes {tag}, which is not open"
        last = self._open.pop()
        assert last[0] == tag, f"closes {tag} inside of {last[0]}"

    def handle_data(self, data):
        inside = [tag for tag, _ in self._open]
        if "script" in inside:
            if self._chart:
                self.charts[self._chart] = json.loads(data)
            elif self._name:
                self.data[self._name] = json.loads(data)
            return
        if "style" in inside:
            self.addresses += re.findall(r"url\((.*?)\)", data)
            return
        self.text += data
        for tag, name in self._open:
            if tag == "section":
                self.sections[name] += data
