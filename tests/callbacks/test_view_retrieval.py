"""The metric of two views, on painted rectangles and a detector that finds them by their colour."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import Precision
from torch.utils.data import DataLoader

from jde_lightning.callbacks import EMA, ViewRetrieval
from jde_lightning.callbacks.view_pairs import image_generator, view_boxes
from jde_lightning.data.views import ViewAugmentation
from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, FrameAnnotations, Letterbox, ValidationOutput

SAME = ViewAugmentation(0, 0, 0, 0, 0, 0)
GEOMETRY = ViewAugmentation(hsv_h=0, hsv_s=0, hsv_v=0)
HEIGHT, WIDTH, GAIN = 160, 256, 0.5


def painted(number, boxes=4, identity=-1, dataset="street", sequence=None):
    """An image of 512 x 296 with coloured rectangles, letterboxed to 256 x 160, and its annotations."""
    rng = np.random.default_rng(number)
    letterbox = Letterbox(GAIN, 0, 6)
    image = np.full((3, HEIGHT, WIDTH), 114, np.uint8)
    annotated = []
    for k in range(boxes):
        x, y = 8 + 60 * k + rng.integers(0, 20), 10 + rng.integers(0, 60)
        width, height = rng.integers(20, 40), rng.integers(40, 70)
        color = rng.dirichlet([0.5] * 3)
        image[:, y : y + height, x : x + width] = (255 * color / color.max())[:, None, None]
        annotated.append([x, y, x + width, y + height])
    original = letterbox.to_image(np.float32(annotated).reshape(-1, 4))
    identities = np.full(boxes, -1) if identity < 0 else identity + np.arange(boxes)
    frame = FrameAnnotations(
        Path(f"/data/{number}.jpg"), 512, 296, original, np.zeros(boxes), identities, np.zeros(boxes), np.ones(boxes)
    )
    frame.dataset, frame.sequence, frame.frame = dataset, sequence, number
    return image, frame, letterbox


class ByColor:
    """Finds what is not grey; an embedding is the colour in the middle of a box, or noise, or always the same."""

    def __init__(self, looks="color", score=0.9):
        self.looks, self.score, self.logged = looks, score, {}
        self.calls = []
        self.rng = np.random.default_rng(0)

    def __call__(self, images):
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        self.calls.append(images.clone())
        return [self.detect(image.permute(1, 2, 0).numpy()) for image in images]

    def detect(self, image):
        spread = image.max(axis=2) - image.min(axis=2)
        _, _, stats, centers = cv2.connectedComponentsWithStats((spread > 0.15).astype(np.uint8))
        stats, centers = stats[1:], centers[1:]
        boxes = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:4]], axis=1)
        embeddings = np.array([image[round(y), round(x)] for x, y in centers]).reshape(-1, 3)
        if self.looks == "noise":
            embeddings = self.rng.normal(size=(len(boxes), 16))
        if self.looks == "collapsed":
            embeddings = np.ones((len(boxes), 4))
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return Detections(boxes, np.full(len(boxes), self.score), None, embeddings / norms)

    def log(self, name, value, **kwargs):
        self.logged[name] = value


def trainer(tmp_path, images, **kwargs):
    return SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        current_epoch=0,
        sanity_checking=False,
        testing=False,
        is_global_zero=True,
        log_dir=str(tmp_path),
        val_dataloaders=SimpleNamespace(dataset=range(images)),
        precision_plugin=Precision(),
        **kwargs,
    )


def batches(samples, size=5):
    """Batches and what a validation step returns for them."""
    for start in range(0, len(samples), size):
        images, frames, letterboxes = zip(*samples[start : start + size], strict=True)
        detections = [
            Detections(letterbox.to_image(found.boxes), found.scores, found.labels, found.embeddings)
            for letterbox, found in zip(
                letterboxes, ByColor()(torch.from_numpy(np.stack(images)).float() / 255), strict=True
            )
        ]
        batch = {"images": torch.from_numpy(np.stack(images)), "frames": list(frames), "letterboxes": list(letterboxes)}
        yield batch, ValidationOutput(list(frames), detections)


def run(callback, module, samples, tmp_path, size=5):
    fake = trainer(tmp_path, len(samples))
    module.logged = {}
    callback.on_validation_epoch_start(fake, module)
    for index, (batch, output) in enumerate(batches(samples, size)):
        callback.on_validation_batch_end(fake, module, output, batch, index)
    callback.on_validation_epoch_end(fake, module)
    return {name.removeprefix("val/view_"): value for name, value in module.logged.items()}


STREET = [painted(number) for number in range(20)]


def test_the_same_view_twice_is_recognised_always(tmp_path):
    values = run(ViewRetrieval(augmentation=SAME, pictures=False), ByColor(), STREET, tmp_path)
    assert values["map"] == values["rank1"] == values["found"] == 1
    assert values["boxes"] == 80
    assert 0.2 < values["cosine_gap"] < 0.9


def test_colours_are_recognised_in_other_places_and_sizes(tmp_path):
    """The detector looks for the rectangles by itself, so it finds boxes only where they were moved with the pixels."""
    values = run(ViewRetrieval(augmentation=GEOMETRY, pictures=False), ByColor(), STREET, tmp_path)
    assert values["found"] > 0.95
    assert values["rank1"] > 0.95
    assert 20 < values["boxes"] < 80  # some are not seen in both views


def test_noise_guesses_and_collapse_fails(tmp_path):
    callback, module = ViewRetrieval(augmentation=GEOMETRY, pictures=False), ByColor("noise")
    repeats = [run(callback, module, STREET[:8], tmp_path) for _ in range(25)]
    n = repeats[0]["boxes"]
    assert np.mean([values["rank1"] for values in repeats]) == pytest.approx(1 / n, abs=0.03)
    chance = (1 / np.arange(1, n + 1)).sum() / n
    assert np.mean([values["map"] for values in repeats]) == pytest.approx(chance, abs=0.04)
    assert np.mean([values["cosine_gap"] for values in repeats]) == pytest.approx(0, abs=0.03)
    collapsed = run(callback, ByColor("collapsed"), STREET, tmp_path)
    assert collapsed["rank1"] == 0
    assert collapsed["cosine_gap"] == pytest.approx(0, abs=1e-6)


def test_views_are_the_same_in_every_epoch_and_however_images_are_batched(tmp_path):
    callback, module = ViewRetrieval(pictures=False), ByColor()
    first, again = (run(callback, module, STREET, tmp_path) for _ in range(2))
    assert first == again
    assert run(ViewRetrieval(pictures=False), module, STREET[::-1], tmp_path, size=3) == pytest.approx(first)
    assert run(ViewRetrieval(pictures=False, seed=1), module, STREET, tmp_path) != first
    assert torch.equal(module.calls[0], module.calls[8])
    assert not torch.allclose(module.calls[0], module.calls[1])  # two views, not one twice


def test_the_choice_of_images_is_bounded_and_spread(tmp_path):
    samples, module = [painted(number, boxes=2) for number in range(200)], ByColor()
    run(ViewRetrieval(max_images=50, pictures=False), module, samples, tmp_path)
    measured = [len(images) for images in module.calls[::2]]
    assert 30 <= sum(measured) <= 70
    assert max(measured) <= 5


def test_frames_of_a_sequence_are_not_searched_for_each_other_s_people(tmp_path):
    # the same picture in every frame: without the rule, the right answers would tie with those of all other frames
    image, _, letterbox = painted(3)
    video = [(image, painted(3, sequence="cam1")[1], letterbox) for _ in range(6)]
    for number, (_, frame, _) in enumerate(video):
        frame.frame = number
    values = run(ViewRetrieval(augmentation=SAME, pictures=False), ByColor(), video, tmp_path)
    assert values["rank1"] == 1
    for _, frame, _ in video:
        frame.sequence = None
    values = run(ViewRetrieval(augmentation=SAME, pictures=False), ByColor(), video, tmp_path)
    assert values["rank1"] == 0
    assert values["map"] == pytest.approx(1 / 6)


def test_data_with_identities_are_left_to_the_other_measures(tmp_path, caplog):
    known = [painted(number, identity=10, dataset="known") for number in range(10)]
    known[0][1].identities[:] = -1  # one image of it shows strangers only
    module = ByColor()
    with caplog.at_level(logging.WARNING):
        assert run(ViewRetrieval(augmentation=SAME), module, known, tmp_path, size=1) == {}
    assert len(module.calls) == 2  # the image that came before the first identity
    assert not caplog.records
    asked = run(ViewRetrieval(augmentation=SAME, data="all", pictures=False), ByColor(), known, tmp_path)
    assert asked["boxes"] == 40
    both = run(ViewRetrieval(augmentation=SAME, pictures=False), ByColor(), known + STREET, tmp_path, size=1)
    assert both["boxes"] == 80


def test_detections_take_the_place_of_annotations(tmp_path):
    bare = []
    for image, frame, letterbox in STREET:
        none = np.zeros(0)
        empty = FrameAnnotations(frame.image_path, 512, 296, none, none, none, none, none, frame=frame.frame)
        bare.append((image, empty, letterbox))
    values = run(ViewRetrieval(augmentation=SAME, boxes="detected", pictures=False), ByColor(), bare, tmp_path)
    assert values["rank1"] == 1
    assert values["boxes"] == 80
    assert run(ViewRetrieval(boxes="detected", conf=0.95, pictures=False), ByColor(), bare, tmp_path) == {}


@pytest.mark.parametrize(
    ("samples", "score", "logged", "reason"),
    [
        ([painted(0, boxes=0), painted(1, boxes=0)], 0.9, {}, "none of 2 images has a box .*boxes: detected"),
        ([painted(0)], 0.05, {"found": 0, "boxes": 0}, "none of 4 boxes was found in both views .*conf 0.1, iou 0.5"),
        ([painted(0, boxes=1)], 0.9, {"found": 1, "boxes": 1}, "1 of 1 boxes were found .* none that certainly shows"),
        (
            [painted(number, boxes=1) for number in range(20)],
            0.9,
            {"found": 1, "boxes": 20, "map": 1, "rank1": 1},
            "view_cosine_gap is left out: no image has two boxes",
        ),
    ],
    ids=["no boxes", "nothing found", "one box", "one box in each image"],
)
def test_what_is_undefined_is_left_out_with_one_warning(samples, score, logged, reason, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert run(ViewRetrieval(augmentation=SAME), ByColor(score=score), samples, tmp_path) == logged
    assert len(caplog.records) == 1
    assert re.search(reason, caplog.text)


def test_few_boxes_are_warned_of_once(tmp_path, caplog):
    callback = ViewRetrieval(augmentation=SAME, pictures=False)
    for number in (2, 2, 4):  # images of four boxes
        assert run(callback, ByColor(), STREET[:number], tmp_path)["boxes"] == 4 * number
    assert len(caplog.records) == 1
    assert "view_map and view_rank1 compare 8 boxes only, of 8: they say nothing" in caplog.text
    caplog.clear()
    run(ViewRetrieval(augmentation=SAME, pictures=False), ByColor(), STREET[:5], tmp_path)
    assert not caplog.records


def test_without_data_or_switched_off_nothing_happens(tmp_path, caplog):
    assert run(ViewRetrieval(), ByColor(), [], tmp_path) == {}
    module = ByColor()
    assert run(ViewRetrieval(every_n_epochs=0), module, STREET, tmp_path) == {}
    assert not module.calls
    assert not caplog.records


def test_draws_the_pairs(tmp_path):
    run(ViewRetrieval(), ByColor(), STREET, tmp_path)
    picture = cv2.imread(str(tmp_path / "pictures" / "view_pairs.jpg"))
    assert picture is not None
    assert picture.shape[1] > picture.shape[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_images": 0}, "view_retrieval.max_images is 0, expected at least 1"),
        ({"iou": 1.5}, "view_retrieval.iou is 1.5, expected a number from 0 to 1"),
        ({"min_visible": -1}, "view_retrieval.min_visible is -1, expected a number from 0 to 1"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ViewRetrieval(**arguments)


def test_boxes_are_kept_where_both_views_show_enough_of_them():
    _, frame, letterbox = painted(0, boxes=0)
    boxes = np.float32([[0, 0, 20, 60], [236, 100, 276, 196], [-60, 50, 20, 100], [600, 10, 640, 90]])
    counts = []
    for number in range(200):
        viewed = view_boxes(boxes, frame, letterbox, (HEIGHT, WIDTH), GEOMETRY, 0.5, np.random.default_rng(number))
        counts.append(len(viewed))
        for window, seen in zip(viewed.windows, viewed.boxes, strict=True):
            assert (seen[:, :2] >= window[:2]).all()
            assert (seen[:, 2:] <= window[2:]).all()
            assert (window >= 0).all()
            assert (window <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert max(counts) == 3  # never the one outside of the image
    assert min(counts) >= 1  # that in the middle is always seen


def test_boxes_are_compared_as_far_as_they_are_seen():
    frame = painted(0, boxes=0)[1]
    boxes = np.float32([[-40, 100, 40, 180]])  # half of it outside of the image
    viewed = view_boxes(boxes, frame, Letterbox(GAIN, 0, 6), (HEIGHT, WIDTH), SAME, 0.5, np.random.default_rng(0))
    assert viewed.boxes[0].tolist() == [[0, 56, 20, 96]]
    whole, visible, other = [-20, 56, 20, 96], [0, 56, 20, 96], [-20, 90, 20, 130]
    for found, expected in ((whole, 1), (visible, 1), (other, -1)):
        detections = Detections([[100, 0, 120, 30], found, visible], [0.9, 0.5, 0.05])
        assert viewed.found(0, detections, 0.1, 0.5).tolist() == [expected]


def test_random_numbers_belong_to_an_image_wherever_its_folder_is():
    def drawn(path, seed=0, **changes):
        frame = painted(0)[1]
        frame.image_path = Path(path)
        for name, value in changes.items():
            setattr(frame, name, value)
        return image_generator(frame, seed).random()

    assert drawn("/data/a/1.jpg") == drawn("/home/me/a/1.jpg")
    others = [
        drawn("/data/b/1.jpg"),
        drawn("/data/a/1.jpg", 1),
        drawn("/data/a/1.jpg", sequence="s"),
        drawn("/data/a/2.jpg"),
    ]
    assert len({drawn("/data/a/1.jpg"), *others}) == 5


class Trained(pl.LightningModule):
    """Keeps its one weight in the detections' embeddings, to tell which weights made the views' detections."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated, self.finder = [], [], ByColor()

    def training_step(self, batch, batch_idx):
        return -self.weight

    def validation_step(self, batch, batch_idx):
        self.validated.append(float(self.weight))
        return ValidationOutput(batch["frames"], [Detections.empty(3) for _ in batch["frames"]])

    test_step = validation_step

    def forward(self, images):
        self.seen.append(float(self.weight))
        return self.finder(images)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_training_measures_the_averaged_weights(tmp_path, precision):
    module = Trained()
    loader = DataLoader(STREET[:4], batch_size=None, collate_fn=lambda sample: next(batches([sample]))[0])
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision=precision,
        logger=False,
        callbacks=[EMA(decay=0.5, ramp=1), ViewRetrieval(augmentation=SAME, max_images=1000)],
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, DataLoader(torch.zeros(4, 1)), loader)
    assert len(module.seen) == 8
    assert set(module.seen) == set(module.validated) != {4.0}
    assert trainer.callback_metrics["val/view_rank1"] == 1
    trainer.test(module, loader)
    assert trainer.callback_metrics["test/view_rank1"] == 1


def _rank(rank, store, expected):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for split in (8, 20):  # the second process has less data, at last none
        part = STREET[:split] if rank == 0 else STREET[split:]
        callback, module, fake = ViewRetrieval(), ByColor(), trainer(Path(store).parent, len(STREET))
        fake.is_global_zero = rank == 0
        callback.on_validation_epoch_start(fake, module)
        for index, (batch, output) in enumerate(batches(part)):
            callback.on_validation_batch_end(fake, module, output, batch, index)
        callback.on_validation_epoch_end(fake, module)
        assert module.logged == pytest.approx(expected, abs=1e-9)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    module = ByColor()
    run(ViewRetrieval(), module, STREET, tmp_path)
    torch.multiprocessing.spawn(_rank, (str(tmp_path / "store"), module.logged), nprocs=2)
