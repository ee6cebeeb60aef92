import numpy as np
from dataset_files import make_frame

from jde_lightning.data import FrameIndex
from jde_lightning.data.summary import histogram, summarize
from jde_lightning.structures import Role


def test_every_box_is_counted_once():
    frames = [
        make_frame("a.jpg", 5, roles=[0, 0, 0, 1, 2], visibility=[1, 0.2, 1, 1, 1], identities=[7, 7, -1, 3, 4]),
        make_frame("b.jpg", 0),
        make_frame("c.jpg", 1, sequence="S", frame=1, identities=[7]),
        make_frame("d.jpg", 2, dataset="E"),
    ]
    first, second = summarize(FrameIndex.from_frames(frames, {"D": "weak", "E": "full"}, {"D": 0.5}))
    assert (first.name, first.images, first.sequences) == ("D", 3, 1)
    assert (first.boxes, first.too_hidden, first.ignored, first.other) == (4, 1, 1, 1)
    assert (first.identities, first.labelled_boxes) == (2, 3)  # id 7 of the stills and id 7 of sequence S differ
    assert sorted(first.boxes_per_image.tolist()) == [0, 1, 3]
    assert first.boxes + first.ignored + first.other == sum(len(frame) for frame in frames[:3])
    assert "2 annotated identities; each of the 1 boxes without" in first.training_mode
    assert second.training_mode.startswith("fully supervised: 2 annotated identities; the 0 boxes without")
    assert first.as_dict()["images_without_boxes"] == 1
    assert Role.POSITIVE == 0


def test_linked_boxes_are_told_in_words():
    frames = [make_frame(f"{k}.jpg", 2, sequence="S", frame=k, visibility=[1, 0.2]) for k in range(3)]
    frames += [make_frame("still.jpg", 2, dataset="E"), make_frame("v.jpg", 1, sequence="T", frame=1, dataset="W")]
    index = FrameIndex.from_frames(frames, {"W": "weak"}, {"D": 0.5})
    video, still, weak = summarize(index, np.array([0, 1, 0, 2, 0, 3, 4, 5, -1]))
    assert (video.linked_boxes, video.linked_identities) == (3, 1)  # of those that are visible enough
    assert "3 boxes are linked from frame to frame into 1 identities, 3.0 boxes each" in video.training_mode
    assert "each of the 2 boxes is an identity of its own" in still.training_mode
    assert weak.linked_boxes == 0
    assert "each of the 0 boxes without is an identity of its own" in weak.training_mode
    assert video.as_dict()["linked_identities"] == 1
    alone, _, _ = summarize(index, np.arange(9))
    assert "none of the 3 boxes could be linked; is the time between frames above linking" in alone.training_mode
    assert summarize(index)[0].as_dict()["linked_boxes"] is None


def test_nothing_is_no_error():
    assert summarize(FrameIndex.from_frames([])) == []
    assert histogram([]) == []


def test_histogram_has_every_image_in_one_range():
    counts = [0, 0, 1, 2, 3, 4, 5, 8, 9, 600]
    lines = histogram(counts)
    assert [line.split()[0] for line in lines][:6] == ["0", "1", "2", "3-4", "5-8", "9-16"]
    assert lines[-1].split()[:2] == ["more", "1"]
    assert sum(int(line.split()[1]) for line in lines) == len(counts)
    assert lines[0].count("#") == 40
    assert histogram(np.array([5, 6]))[0].split() == ["5-8", "2", "#" * 40]
