"""Validation on one, two and three processes gives the same numbers, whatever data a process happens to get."""

import csv
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from painted_people import Painted, Scene, find_colors
from ranks import run_ranks, trainer

from jde_lightning import JDEDataModule, JDEModule
from jde_lightning.callbacks import ViewRetrieval
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


# --- within a training

CASES_OF_FIT = list(CASES)[:2]
BLINDNESS = [0.5, 0.1, 0.3]
"""By epoch: the second one is the best."""


class Recorder(pl.Callback):
    """Keeps the metrics of every validation."""

    def __init__(self):
        self.seen = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.seen.append(numbers(trainer.callback_metrics))


def fit_all(rank, count, root):
    """Metrics by epoch, the checkpoints and the run's folder of each case on this process."""
    found = {}
    for name in CASES_OF_FIT:
        jde, recorder = module(), Recorder()
        # what is found must not follow from the training, which differs
        jde.network.detect = lambda images, of=jde, **_: find_colors(images, BLINDNESS[of.current_epoch])
        folder = root / f"fit{count}"
        logger = CSVLogger(folder, name="", version=CASES_OF_FIT.index(name))
        made = [*callbacks(), recorder]
        run = trainer(
            count, folder, callbacks=made, logger=logger, max_epochs=3, limit_train_batches=1, log_every_n_steps=1,
            num_sanity_val_steps=2, gradient_clip_val=10.0,
        )  # fmt: skip
        run.fit(jde, data(root / name, CASES[name]))
        kept = run.checkpoint_callback
        checkpoints = kept.best_model_path, float(kept.best_model_score), kept.last_model_path, kept.monitor
        files = sorted(str(path.relative_to(folder)) for path in Path(run.log_dir).rglob("*") if path.is_file())
        found[name] = recorder.seen, checkpoints, run.log_dir, files
    return found


@pytest.mark.slow
def test_a_training_on_several_processes_measures_saves_and_logs_as_on_one(root):
    (alone,) = run_ranks(fit_all, 1, 1, root)
    for count in (2, 3):
        several = run_ranks(fit_all, count, count, root)
        for name in CASES_OF_FIT:
            metrics, (best, score, last, monitor), folder, files = alone[name]
            assert monitor == "val/hota"
            assert score == max(values["val/hota"] for values in metrics) == metrics[1]["val/hota"] > 0.1
            for rank, found in enumerate(several):
                seen, checkpoints, log_dir, _ = found[name]
                assert len(seen) == 3
                for epoch, values in enumerate(metrics):
                    assert seen[epoch] == pytest.approx(values, abs=1e-6), (count, rank, name, epoch)
                assert seen == several[0][name][0]  # to the last bit, so that every process decides alike
                assert checkpoints == several[0][name][1]
                assert checkpoints[1] == pytest.approx(score, abs=1e-6)
                assert [Path(path).name for path in checkpoints[::2]] == ["best.ckpt", "last.ckpt"]
                assert log_dir == several[0][name][2]
            with (Path(several[0][name][2]) / "metrics.csv").open() as file:
                rows = [row for row in csv.DictReader(file) if row["val/hota"]]
            assert len(rows) == 3
            assert [float(row["val/hota"]) for row in rows] == pytest.approx([v["val/hota"] for v in metrics], abs=1e-6)
            assert torch.load(checkpoints[0], weights_only=True)["epoch"] == 1
            # one writer: nothing of the others lies beside; pictures are of what the first process has
            written = several[0][name][3]
            assert set(written) <= set(files)
            assert {Path(path).name for path in set(files) - set(written)} <= {"view_pairs.jpg"}
