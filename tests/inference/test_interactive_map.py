"""The interactive map of a table: a balanced sample, its neighbours, its crops."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from jde_lightning.inference import collect_embeddings
from jde_lightning.inference.annotated_frames import AnnotatedFrame
from jde_lightning.inference.embedding_map import embedding_map
from jde_lightning.structures import Detections, FrameAnnotations

PEOPLE = 4


def table_of(folder, frames, identities=True, broken=None):
    """People with looks of their own, who stand side by side in grey images."""
    looks = np.eye(8, dtype=np.float32)[:PEOPLE]
    boxes = np.float32([[20 * k, 10, 20 * k + 12, 50] for k in range(PEOPLE)])

    def describe(batch):
        found = []
        for frame in batch:
            vectors = looks + 0.01 * frame.annotations.frame * np.roll(looks, 4, axis=1)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            if frame.annotations.frame == broken:
                vectors[0] = np.nan
            found.append(Detections(boxes, np.full(PEOPLE, 0.9), None, vectors))
        return found

    def images():
        ids = np.arange(PEOPLE) if identities else np.full(PEOPLE, -1)
        for number in range(1, frames + 1):
            zeros = np.zeros(PEOPLE)
            annotations = FrameAnnotations(
                Path("x.jpg"), 100, 60, boxes, zeros, ids, zeros, zeros + 1, "D", "S", number, 10.0
            )
            yield AnnotatedFrame(np.full((60, 100, 3), 114, np.uint8), annotations, "x.jpg")

    return collect_embeddings(images(), describe, folder / "table.npz")


def data_of(html):
    return json.loads(re.search(r"data = (\{.*?\}), plot = root", html, re.DOTALL)[1])


def test_neighbours_are_the_same_person_and_the_sample_is_balanced(tmp_path):
    html = embedding_map(table_of(tmp_path, 10), "pca", max_points=20, neighbours=3, with_library=False)
    data = data_of(html)
    assert np.unique(data["identities"], return_counts=True)[1].tolist() == [5, 5, 5, 5]
    for row, neighbours in enumerate(data["neighbours"]):
        assert row not in neighbours
        assert {data["identities"][k] for k in neighbours} == {data["identities"][row]}
        assert data["distances"][row] == sorted(data["distances"][row])
    assert data["texts"][0].startswith("id 0, S, frame ")
    assert html.startswith("<p>20 of 40 boxes, pca</p>")


def test_nan_is_left_out_with_a_word(tmp_path):
    html = embedding_map(table_of(tmp_path, 3, broken=2), "pca", with_library=False)
    assert len(data_of(html)["texts"]) == 11
    assert "1 of 12 embeddings are not finite" in html


@pytest.mark.parametrize("frames", [0, 1])
def test_few_points_and_none(tmp_path, frames):
    html = embedding_map(table_of(tmp_path, frames, identities=False), "tsne", with_library=False)
    assert len(data_of(html)["texts"]) == 4 * frames
    assert "pca" in html.partition("</p>")[0]
