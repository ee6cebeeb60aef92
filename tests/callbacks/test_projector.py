"""The projector's files, read back through the plugin of the stock TensorBoard."""

import logging
from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from painted_people import COLORS, Painted, Scene, find_colors
from ranks import run_ranks, trainer
from small_training import make_module, make_trainer
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from torch.utils.tensorboard import SummaryWriter
from werkzeug.test import Client

from jde_lightning import JDEDataModule
from jde_lightning.callbacks import Projector
from jde_lightning.callbacks.projector import fair_share
from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, ValidationOutput


class Reader:
    """What a browser gets from TensorBoard about the run in a folder."""

    def __init__(self, logdir):
        multiplexer = EventMultiplexer()
        multiplexer.AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = MultiplexerDataProvider(multiplexer, str(logdir))
        apps = ProjectorPlugin(TBContext(logdir=str(logdir), data_provider=provider)).get_plugin_apps()
        self.clients = {route: Client(app) for route, app in apps.items()}
        (self.run,) = self.get("/runs").json
        self.config = self.get("/info", run=self.run).json

    def get(self, route, **query):
        answer = self.clients[route].get(route, query_string=query)
        assert answer.status_code == 200, answer.text
        return answer

    def names(self):
        return [entry["tensorName"] for entry in self.config["embeddings"]]

    def table(self, name):
        header, *rows = (line.split("\t") for line in self.get("/metadata", run=self.run, name=name).text.splitlines())
        return [dict(zip(header, row, strict=True)) for row in rows]

    def tensor(self, name):
        raw = np.frombuffer(self.get("/tensor", run=self.run, name=name).data, np.float32)
        return raw.reshape(len(self.table(name)), -1)

    def tiles(self, name):
        """(N, tile, tile, 4): cut as the viewer's shader does, which takes the columns for the rows."""
        entry = next(entry for entry in self.config["embeddings"] if entry["tensorName"] == name)
        width, height = entry["sprite"]["singleImageDim"]
        data = np.frombuffer(self.get("/sprite_image", run=self.run, name=name).data, np.uint8)
        sheet = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        columns, rows = sheet.shape[1] // width, sheet.shape[0] // height
        places = [(k % columns, k // rows) for k in range(len(self.table(name)))]
        return np.stack([sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] for x, y in places])


def painted(folder, *scenes, name="D"):
    """Validation output with the annotated boxes as detections; embeddings are the colour of the person."""
    frames = list(Painted(list(scenes), name).frames(folder))
    colors = COLORS / np.linalg.norm(COLORS, axis=1, keepdims=True)
    found = [
        Detections(f.boxes.copy(), np.full(len(f), 0.9), None, colors[np.arange(len(f)) % len(colors)]) for f in frames
    ]
    return ValidationOutput(frames, found)


def write(callback, output, folder, epoch=0, fn="fit", max_epochs=100, class_names=("person",)):
    """Run one validation; the folder becomes that of a run with an event file."""
    with SummaryWriter(str(folder)) as events:
        events.add_scalar("val/x", 1.0)
    fake = SimpleNamespace(
        lightning_module=SimpleNamespace(class_names=list(class_names)),
        state=SimpleNamespace(fn=TrainerFn(fn)),
        current_epoch=epoch,
        max_epochs=max_epochs,
        sanity_checking=False,
        is_global_zero=True,
        log_dir=str(folder),
    )
    callback.on_validation_epoch_start(fake, None)
    callback.on_validation_batch_end(fake, None, output, None, 0)
    callback.on_validation_epoch_end(fake, None)


def test_tensorboard_reads_vectors_names_and_crops_that_belong_together(tmp_path):
    output = painted(tmp_path, Scene("A", 6, people=3), Scene("B", 4, people=2))
    write(Projector(every_n_epochs=1), output, tmp_path / "run", epoch=4)
    reader = Reader(tmp_path / "run")
    assert reader.names() == ["epoch_0004"]
    table, tensor, tiles = (read("epoch_0004") for read in (reader.table, reader.tensor, reader.tiles))
    # boxes that lie one upon the other are still matched to their own annotation
    assert len(table) == 6 * 3 + 4 * 2
    assert Counter(row["person"] for row in table) == {"A/1": 6, "A/2": 6, "A/3": 6, "B/1": 4, "B/2": 4}
    assert {row["sequence"] for row in table} == {"D/A", "D/B"}
    assert {row["frame"] for row in table} == {str(n) for n in range(1, 7)}
    for row, vector, tile in zip(table, tensor, tiles, strict=True):
        color = COLORS[int(row["identity"]) - 1]
        assert vector == pytest.approx(color / np.linalg.norm(color), abs=1e-5)
        opaque = tile[..., 3] > 0
        assert 0.3 < opaque.mean() < 0.6, "a person is about half as wide as high; the rest is transparent"
    shown = [row["identity"] for row in table]
    # of the pixels of a crop most have the person's colour, whoever stands before
    for row in {"1", "2", "3"}:
        pixels = np.concatenate([t[t[..., 3] > 0][:, :3] for t, n in zip(tiles, shown, strict=True) if n == row])
        assert np.median(pixels, axis=0) == pytest.approx(COLORS[int(row) - 1], abs=3)


def test_the_number_is_bounded_and_balanced_over_identities(tmp_path):
    output = painted(tmp_path, Scene("A", 30, people=3), Scene("B", 2, people=2))
    write(Projector(every_n_epochs=1, max_boxes=20), output, tmp_path / "run")
    table = Reader(tmp_path / "run").table("epoch_0000")
    counts = Counter(row["person"] for row in table)
    assert len(table) == 20
    assert counts["B/1"] == counts["B/2"] == 2  # all that there are
    assert sorted(counts[f"A/{n}"] for n in (1, 2, 3)) == [5, 5, 6]
    # few images are read: the same moments for everybody
    assert len({row["image"] + row["sequence"] for row in table}) == 6 + 2


def test_of_data_without_identities_every_sequence_gets_its_share(tmp_path):
    unknown = Scene("A", 20, people=4, identities=False), Scene("B", 3, people=2, identities=False)
    output = painted(tmp_path, *unknown, Scene(None, 3, people=2, identities=False))
    write(Projector(every_n_epochs=1, max_boxes=30), output, tmp_path / "run")
    table = Reader(tmp_path / "run").table("epoch_0000")
    assert Counter(row["sequence"] for row in table) == {"D/A": 18, "D/B": 6, "D": 6}
    assert {row["person"] for row in table} == {"unknown"}


def test_a_detection_without_its_annotation_is_not_shown_among_people_with_names(tmp_path):
    output = painted(tmp_path, Scene("A", 3, people=2))
    for found in output.detections:
        found.boxes[1] += 500
    write(Projector(every_n_epochs=1), output, tmp_path / "run")
    assert {row["person"] for row in Reader(tmp_path / "run").table("epoch_0000")} == {"A/1"}


def test_epochs_are_entries_the_last_first_and_of_the_same_moments(tmp_path):
    output, run = painted(tmp_path, Scene("A", 30)), tmp_path / "run"
    callback = Projector(every_n_epochs=2, max_boxes=8)
    for epoch in range(5):
        write(callback, output, run, epoch=epoch, max_epochs=5)
    write(Projector(every_n_epochs=2, max_boxes=8), output, run, epoch=3)  # repeated after an interruption
    write(callback, output, run, fn="validate")
    reader = Reader(run)
    assert reader.names() == ["validate", "epoch_0004", "epoch_0003", "epoch_0001"]
    assert reader.table("epoch_0001") == reader.table("epoch_0004") == reader.table("validate")


def test_off_and_nothing_to_show(tmp_path, caplog):
    run = tmp_path / "run"
    output = painted(tmp_path, Scene("A", 3))
    write(Projector(every_n_epochs=0), output, run, max_epochs=1)
    without = ValidationOutput(output.frames, [Detections(f.boxes, f.scores) for f in output.detections])
    write(Projector(every_n_epochs=1), without, run)
    assert not (run / "projector").exists()
    with caplog.at_level(logging.WARNING):
        write(Projector(every_n_epochs=1, conf=0.95), output, run)
    assert "no detection with a confidence of 0.95 to show (projector.conf)" in caplog.text
    assert not (run / "projector_config.pbtxt").exists()


def test_nan_is_left_out_and_a_missing_image_leaves_its_tile_empty(tmp_path, caplog):
    output = painted(tmp_path, Scene("A", 2, people=2))
    output.detections[0].embeddings[0] = np.nan
    output.frames[1].image_path.unlink()
    with caplog.at_level(logging.WARNING):
        write(Projector(every_n_epochs=1), output, tmp_path / "run")
    reader = Reader(tmp_path / "run")
    frames = [row["frame"] for row in reader.table("epoch_0000")]
    assert sorted(frames) == ["1", "2", "2"]
    opaque = reader.tiles("epoch_0000")[..., 3].any(axis=(1, 2))
    assert [bool(o) for o in opaque] == [frame == "1" for frame in frames]
    assert "NaN or infinity are left out" in caplog.text
    assert "boxes without a crop" in caplog.text


def test_several_classes_are_a_column_and_names_cannot_break_the_table(tmp_path):
    output = painted(tmp_path, Scene("A\tB\nC", 2, people=2))
    for found in output.detections:
        found.labels[:] = [0, 1]
    write(Projector(every_n_epochs=1), output, tmp_path / "run", class_names=["person", "dog"])
    table = Reader(tmp_path / "run").table("epoch_0000")
    assert sorted(row["class"] for row in table) == ["dog", "dog", "person", "person"]
    assert {row["sequence"] for row in table} == {"D/A B C"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_boxes": 0}, "projector.max_boxes is 0"),
        ({"max_boxes": 16385}, "a square of them of 8192 px or less"),
        ({"tile": 4}, "projector.tile is 4"),
        ({"conf": 1.5}, "projector.conf is 1.5, expected a number from 0 to 1"),
        ({"iou": -0.1}, "projector.iou is -0.1"),
    ],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        Projector(**options)


@pytest.mark.parametrize("total", [0, 1, 5, 20, 100])
@pytest.mark.parametrize("counts", [[], [7], [1, 8, 8], [3, 0, 40, 2, 2], [5, 5, 5, 5]])
def test_fair_share_is_the_largest_that_fits(counts, total):
    fits = [share for share in range(101) if sum(min(count, share) for count in counts) <= total]
    assert fair_share(counts, total) == min(max(fits), max(counts, default=0))


def test_a_training_writes_its_last_epoch(tmp_path):
    data = painted_data(tmp_path)
    module = make_module(embed_dim=8)
    module.network.detect = lambda images, **_: find_colors(images)
    logger = TensorBoardLogger(tmp_path, name="", version="run")
    options = {"limit_val_batches": 1.0, "limit_train_batches": 1, "max_epochs": 2, "logger": logger}
    make_trainer(tmp_path, [Projector()], **options).fit(module, data)
    reader = Reader(tmp_path / "run")
    assert reader.names() == ["epoch_0001"]
    assert {row["person"] for row in reader.table("epoch_0001")} == {"unknown"} | {
        f"{s}/{n}" for s in "ABC" for n in (1, 2, 3, 4)
    }


def painted_data(root):
    return JDEDataModule(
        root=str(root),
        train=[Painted([Scene(None, 4, size=(64, 64))], "T")],
        val=[
            Painted([Scene("A", 9), Scene("B", 5), Scene("C", 4)], "D"),
            Painted([Scene(None, 5, identities=False)], "S"),
        ],
        image_size=64,
        val_image_size=128,
        batch_size=1,
        val_batch_size=2,
        num_workers=0,
        index_cache=False,
    )


def validate(rank, count, root):
    torch.manual_seed(0)
    module = make_module(embed_dim=8)
    module.network.detect = lambda images, **_: find_colors(images)
    logger = CSVLogger(root, name="", version=f"ranks{count}")
    run = trainer(count, root, callbacks=[Projector(max_boxes=40)], logger=logger, use_distributed_sampler=False)
    run.validate(module, painted_data(root), verbose=False)


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path):
    painted_data(tmp_path).frame_index("val")
    for count in (1, 2):
        run_ranks(validate, count, count, tmp_path)
    alone, both = tmp_path / "ranks1", tmp_path / "ranks2"
    names = sorted(str(path.relative_to(alone)) for path in alone.rglob("*") if path.is_file())
    assert "projector/validate/tensors.tsv" in names
    for name in names:
        if "projector" in name:
            assert (alone / name).read_bytes() == (both / name).read_bytes(), name
    assert len((alone / "projector/validate/tensors.tsv").read_text().splitlines()) == 40
