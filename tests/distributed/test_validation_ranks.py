"""Validation on one, two and three processes gives the same numbers, whatever data a process happens to get."""

import csv
from pathlib import Path

import pytest
import torch
from painted_people import Painted, Scene, find_colors
from ranks import run_ranks, trainer

from jde_lightning import JDEDataModule, JDEModule
from jde_lightning.callbacks import DetectionAP, EmbeddingQuality, Retrieval, TrackingHOTA, ViewRetrieval
from jde_lightning.cli.lightning_verbs import _FORCED_CALLBACKS

STILLS = [Scene(None, n, identities=False, size=size) for n, size in ((3, (128, 96)), (2, (96, 128)), (1, (64, 64)))]
CASES: dict[str, dict[str, list[Scene]]] = {
    "uneven sequences and single images of three shapes": {
        "D": [Scene("A", 25, people=6), Scene("B", 5, people=6), Scene("C", 3, people=2)],
        "S": STILLS,
    },
    "one sequence, fewer than processes": {"D": [Scene("A", 7)]},
    "a sequence without people and one in which nobody is found": {
        "D": [Scene("A", 5), Scene("B", 4, people=0), Scene("C", 3, painted=False)]
    },
    "sequences without identities": {
        "D": [Scene("A", 5)],
        "W": [Scene("B", 7, identities=False), Scene("C", 3, identities=False)],
    },
}
"""Validation data: scenes by name of their dataset."""

TRACKING = ("hota", "deta", "assa", "mota", "idf1", "idsw")
METRICS = {
    *TRACKING,
    *(f"{name}_motion" for name in TRACKING),
    *("map50_95", "map50", "silhouette", "silhouette_euclidean", "retrieval_map", "rank1", "rank5"),
    *(f"mean_{sign}_{kind}" for sign in ("positive", "negative") for kind in ("cosine", "euclidean")),
    *("roc_auc", "tpr_at_fpr_1e-2"),
}
VIEW_METRICS = {"view_map", "view_rank1", "view_cosine_gap", "view_found", "view_boxes"}
WITHOUT_IDENTITIES = [name for name, scenes in CASES.items() if scenes.keys() - {"D"}]


def data(root, scenes, batch_size=2):
    return JDEDataModule(
        root=str(root),
        train=[Painted([Scene(None, 6, size=(64, 64))], "T")],
        val=[Painted(those, dataset) for dataset, those in scenes.items()],
        image_size=64,
        val_image_size=128,
        batch_size=1,
        val_batch_size=batch_size,
        num_workers=0,
        index_cache=False,
    )


def module():
    torch.manual_seed(0)
    jde = JDEModule(scale="n", embed_dim=8, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.001))
    jde.network.detect = lambda images, **_: find_colors(images, blindness=0.2)
    return jde


def callbacks():
    """All of the command line's, as it makes them; those of two views look at every image."""
    made = [kind() for kind in _FORCED_CALLBACKS.values() if kind is not ViewRetrieval]
    return [*made, ViewRetrieval(max_images=1000)]


def numbers(metrics):
    return {name: float(value) for name, value in metrics.items() if name.startswith("val/")}


def validate_all(rank, count, root):
    """Metrics of each case on this process."""
    found = {}
    for name, scenes in CASES.items():
        run = trainer(count, root / f"validate{count}", callbacks=callbacks())
        run.validate(module(), data(root / name, scenes), verbose=False)
        found[name] = numbers(run.callback_metrics)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted")
    for name, scenes in CASES.items():
        for split in ("train", "val"):
            data(folder / name, scenes).frame_index(split)
    return folder


@pytest.fixture(scope="module")
def alone(root):
    return run_ranks(validate_all, 1, 1, root)[0]


def test_one_process_measures_what_can_be_measured(alone):
    for name, values in alone.items():
        expected = METRICS | (VIEW_METRICS if name in WITHOUT_IDENTITIES else set())
        assert {key.removeprefix("val/") for key in values} == expected, name
    measured = alone["uneven sequences and single images of three shapes"]
    trivial = {name for name, value in measured.items() if value in (0, 1)}
    assert trivial == set(), "equality of these would show nothing"


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_measure_what_one_does(root, alone, count):
    for rank, found in enumerate(run_ranks(validate_all, count, count, root)):
        for name, values in alone.items():
            assert found[name] == pytest.approx(values, abs=1e-6), (rank, name)
