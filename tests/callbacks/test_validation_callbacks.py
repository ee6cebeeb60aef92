"""The measuring callbacks, fed with made-up validation outputs."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jde_lightning.callbacks import DetectionAP, EmbeddingQuality, Retrieval, TrackingHOTA
from jde_lightning.metrics.embeddings import embedding_metrics
from jde_lightning.metrics.folders import evaluate_folder
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.structures import Detections, FrameAnnotations, ValidationOutput
from jde_lightning.tracking import YOLO11JDETracker

FRAMES, PEOPLE = 30, 5


def scene(identities=True, sequence="S-01", seed=0):
    """People who walk on straight lines, found with some noise; embeddings tell them apart."""
    rng = np.random.default_rng(seed)
    looks = np.linalg.qr(rng.normal(size=(16, 16)))[0][:PEOPLE].astype(np.float32)
    start, speed = rng.uniform(0, 500, (PEOPLE, 2)), rng.uniform(-4, 4, (PEOPLE, 2))
    frames, detections = [], []
    for number in range(1, FRAMES + 1):
        corner = np.round(start + speed * number)
        boxes = np.concatenate([corner, corner + np.array([40, 100])], axis=1).astype(np.float32)
        ids = np.arange(1, PEOPLE + 1) if identities else np.full(PEOPLE, -1)
        zeros = np.zeros(PEOPLE)
        frames.append(
            FrameAnnotations("x.jpg", 640, 640, boxes, zeros, ids, zeros, zeros + 1, "D", sequence, number, 30.0)
        )
        seen = rng.random(PEOPLE) > 0.1
        noisy = boxes[seen] + rng.normal(0, 3, (seen.sum(), 4))
        embeddings = looks[seen] + rng.normal(0, 0.05, (seen.sum(), 16))
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        detections.append(Detections(noisy, rng.uniform(0.65, 1, seen.sum()), None, embeddings))
    return ValidationOutput(frames, detections)


def trainer(tmp_path, epoch=0, fn="fit", class_names=("person",)):
    return SimpleNamespace(
        lightning_module=SimpleNamespace(class_names=list(class_names)),
        state=SimpleNamespace(fn=fn),
        current_epoch=epoch,
        sanity_checking=False,
        is_global_zero=True,
        log_dir=str(tmp_path / "run"),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )


class Logged(dict):
    """Stands in for the module: keeps what is logged."""

    def log(self, name, value, **kwargs):
        self[name] = value


def run(callback, outputs, tmp_path, **kwargs):
    logged, fake = Logged(), trainer(tmp_path, **kwargs)
    callback.on_validation_epoch_start(fake, logged)
    for index, output in enumerate(outputs):
        callback.on_validation_batch_end(fake, logged, output, None, index)
    callback.on_validation_epoch_end(fake, logged)
    return logged


def test_hota_equals_the_evaluation_of_the_written_files(tmp_path):
    outputs = [scene(sequence="S-01", seed=1), scene(sequence="S-02", seed=2)]
    # two batches per sequence, delivered in another order than the frames
    parts = []
    for output in outputs:
        parts += [ValidationOutput(output.frames[k:], output.detections[k:]) for k in (15,)]
        parts += [ValidationOutput(output.frames[:15], output.detections[:15])]
    logged = run(TrackingHOTA(), parts, tmp_path)
    for output in outputs:
        name = output.frames[0].sequence
        folder = tmp_path / "gt" / name / "gt"
        folder.mkdir(parents=True)
        rows = [
            f"{f.frame},{i},{b[0] + 1:.0f},{b[1] + 1:.0f},{b[2] - b[0]:.0f},{b[3] - b[1]:.0f},1,1,1"
            for f in output.frames
            for i, b in zip(f.identities, f.boxes, strict=True)
        ]
        (folder / "gt.txt").write_text("\n".join(rows) + "\n")
        (folder.parent / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={FRAMES}\nframeRate=30\n")
        for suffix, appearance in (("", True), ("_motion", False)):
            tracker = YOLO11JDETracker(30, appearance=appearance)
            tracks = [tracker.update(found) for found in output.detections]
            write_results(tmp_path / f"results{suffix}" / f"{name}.txt", [f.frame for f in output.frames], tracks)
    for suffix in ("", "_motion"):
        expected = evaluate_folder(tmp_path / "gt", tmp_path / f"results{suffix}")["combined"]
        for key in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW"):
            assert logged[f"val/{key.lower()}{suffix}"] == pytest.approx(expected[key], abs=1e-9)
    assert 0.5 < logged["val/hota"] < 1


def test_each_class_is_evaluated_on_its_own(tmp_path):
    """Two classes that never meet, as two sequences would be; a box of the other class is no hit."""
    cars = scene(sequence="S", seed=2)
    for frame, found in zip(cars.frames, cars.detections, strict=True):
        frame.labels[:] = 1
        found.labels[:] = 1
        found.boxes[:] = np.round(found.boxes * 8) / 8  # so that moving them far away rounds nothing
    people = scene(sequence="S", seed=1)
    alone = [run(TrackingHOTA(), [output], tmp_path) for output in (people, cars)]
    apart = [replace(frame, sequence="T") for frame in cars.frames]
    sequences = run(TrackingHOTA(), [people, ValidationOutput(apart, cars.detections)], tmp_path)

    frames, detections = [], []
    for one, other, a, b in zip(people.frames, cars.frames, people.detections, cars.detections, strict=True):
        away = np.array([5000, 0, 5000, 0], np.float32)
        both = {
            name: np.concatenate([getattr(one, name), getattr(other, name)])
            for name in ("labels", "roles", "visibility")
        }
        both["boxes"] = np.concatenate([one.boxes, other.boxes + away])
        both["identities"] = np.concatenate([one.identities, other.identities + 100])
        frames.append(replace(one, **both))
        detections.append(
            Detections(
                np.concatenate([a.boxes, b.boxes + away]),
                np.concatenate([a.scores, b.scores]),
                np.concatenate([a.labels, b.labels]),
                np.concatenate([a.embeddings, b.embeddings]),
            )
        )
    tracker = lambda rate: YOLO11JDETracker(rate, class_aware=True)  # noqa: E731
    logged = run(TrackingHOTA(tracker=tracker), [ValidationOutput(frames, detections)], tmp_path, class_names="pc")
    assert logged["val/hota/p"] == pytest.approx(alone[0]["val/hota"])
    assert logged["val/hota/c"] == pytest.approx(alone[1]["val/hota"])
    assert logged["val/hota"] == pytest.approx(sequences["val/hota"])
    assert logged["val/mota"] == pytest.approx(sequences["val/mota"])
    for found in detections:
        found.labels[:] = 0
    logged = run(TrackingHOTA(), [ValidationOutput(frames, detections)], tmp_path, class_names="pc")
    assert logged["val/hota/c"] == 0
    assert logged["val/mota"] < sequences["val/mota"] - 0.3


def test_hota_draws_its_history_and_the_tracks(tmp_path):
    callback = TrackingHOTA()
    for epoch in range(3):
        run(callback, [scene()], tmp_path, epoch=epoch)
    assert [entry[0] for entry in callback.state_dict()["history"]] == [0, 1, 2]
    again = TrackingHOTA()
    again.load_state_dict(callback.state_dict())
    run(again, [scene()], tmp_path, epoch=2)  # the epoch that is repeated after a resume counts once
    assert [entry[0] for entry in again.state_dict()["history"]] == [0, 1, 2]
    for name in ("hota_over_epochs.png", "tracks_over_time.png"):
        assert (tmp_path / "run" / "pictures" / name).stat().st_size > 1000


def test_hota_is_left_out_with_a_warning_where_nobody_has_an_identity(tmp_path, caplog):
    tracking = TrackingHOTA()
    with caplog.at_level(logging.WARNING):
        assert run(tracking, [scene(identities=False)], tmp_path) == {}
        assert run(tracking, [scene(identities=False)], tmp_path) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "no validation sequence has identities: HOTA, MOTA and IDF1 are left out"
    ]


def test_hota_without_detections_is_zero_not_nan(tmp_path):
    output = scene()
    output.detections = [Detections.empty(16) for _ in output.detections]
    logged = run(TrackingHOTA(), [output], tmp_path)
    assert logged["val/hota"] == 0
    assert np.isfinite(list(logged.values())).all()


def test_every_n_epochs_and_off(tmp_path):
    assert run(TrackingHOTA(every_n_epochs=0), [scene()], tmp_path) == {}
    assert run(DetectionAP(every_n_epochs=2), [scene()], tmp_path, epoch=0) == {}
    assert "val/map50" in run(DetectionAP(every_n_epochs=2), [scene()], tmp_path, epoch=1)
    assert "val/map50" in run(DetectionAP(every_n_epochs=2), [scene()], tmp_path, epoch=0, fn="validate")
    with pytest.raises(ValueError, match="every_n_epochs must be 0"):
        DetectionAP(every_n_epochs=-1)


def test_embedding_callbacks_log_the_metrics_of_the_matched_detections(tmp_path):
    outputs = [scene(seed=3), scene(seed=4, sequence="S-02")]
    quality, retrieval = run(EmbeddingQuality(), outputs, tmp_path), run(Retrieval(), outputs, tmp_path)
    embeddings = np.concatenate([d.embeddings for o in outputs for d in o.detections])
    # the nearest true box gives the identity; people of the two sequences are different people
    ids = np.concatenate(
        [
            1000 * k + np.linalg.norm(d.boxes[:, None] - f.boxes[None], axis=2).argmin(axis=1)
            for k, o in enumerate(outputs)
            for f, d in zip(o.frames, o.detections, strict=True)
        ]
    )
    expected = embedding_metrics(embeddings, ids)
    assert retrieval["val/retrieval_map"] == pytest.approx(expected["retrieval_map"], abs=1e-6)
    assert retrieval["val/rank1"] == pytest.approx(expected["rank1"], abs=1e-6)
    assert quality["val/silhouette"] == pytest.approx(expected["silhouette_cosine"], abs=1e-6)
    assert quality["val/mean_positive_cosine"] == pytest.approx(expected["mean_positive_cosine"], abs=1e-6)


@pytest.mark.parametrize("callback", [EmbeddingQuality, Retrieval])
def test_embedding_metrics_without_identities_are_left_out_with_one_warning(callback, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        measuring = callback()
        assert run(measuring, [scene(identities=False)], tmp_path) == {}
        assert run(measuring, [scene(identities=False)], tmp_path) == {}  # the next epoch says nothing new
    assert len(caplog.records) == 1
    assert "no embedding has an identity" in caplog.text
