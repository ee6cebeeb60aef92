import pickle
from pathlib import Path

import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers.base import Reader
from jde_lightning.errors import InputError


class Fixed(Reader):
    def __init__(self, frames, name="D", **options):
        super().__init__(name, **options)
        self.frames = frames

    def read(self, root):
        return self.frames


def test_frames_come_back_as_they_went_in():
    frame = make_frame(
        "ü/ä.jpg", 3, sequence="S", frame=7, frame_rate=14.0, visibility=[0.1, 0.2, 0.3], roles=[0, 1, 2]
    )
    index = FrameIndex.from_frames([frame, make_frame("empty.jpg", 0, sequence="S", frame=8)])
    back = index.frame(0)
    for name in ("boxes", "labels", "identities", "roles", "visibility"):
        np.testing.assert_array_equal(getattr(back, name), getattr(frame, name))
    for name in ("image_path", "width", "height", "dataset", "sequence", "frame", "frame_rate"):
        assert getattr(back, name) == getattr(frame, name)
    assert len(index.frame(1)) == 0


def test_sequences_are_ordered_by_frame_and_datasets_by_reader():
    frames = [
        make_frame("b2", sequence="B", frame=2),
        make_frame("single", dataset="E"),
        make_frame("a9", sequence="A", frame=9),
        make_frame("b1", sequence="B", frame=1),
        make_frame("a10", sequence="A", frame=10),
        make_frame("single2", dataset="E"),
    ]
    index = FrameIndex.from_frames(frames)
    assert [index.path(i).name for i in range(len(index))] == ["b1", "b2", "a9", "a10", "single", "single2"]
    assert {name: positions.tolist() for name, positions in index.sequences.items()} == {"B": [0, 1], "A": [2, 3]}


def test_equal_sequence_names_of_two_datasets_stay_apart():
    frames = [make_frame(d, dataset=d, sequence="S", frame=1) for d in ("D", "E")]
    assert list(FrameIndex.from_frames(frames).sequences) == ["D/S", "E/S"]


def test_no_frames():
    index = FrameIndex.from_frames([])
    assert (len(index), index.sequences, index.summary()) == (0, {}, "no images")
    assert index.learnable.shape == (0,)


def test_a_frame_read_twice_is_refused():
    frames = [make_frame(f"{i}.jpg", sequence="S", frame=3) for i in range(2)]
    with pytest.raises(InputError, match="frame 3 of sequence 'S' of dataset 'D' is read twice"):
        FrameIndex.from_frames(frames)


def test_readers_of_one_name_must_agree():
    readers = [Fixed([make_frame("a")]), Fixed([make_frame("b")], supervision="full")]
    with pytest.raises(InputError, match="two readers named 'D' differ in supervision or min_visibility"):
        FrameIndex.from_readers(readers, Path())


def test_min_visibility_is_per_dataset():
    readers = [
        Fixed([make_frame("a", visibility=[0.2, 0.3])], min_visibility=0.25),
        Fixed([make_frame("b", dataset="E", visibility=[0.2, 0.3])], name="E"),
    ]
    index = FrameIndex.from_readers(readers, Path())
    assert index.learnable.tolist() == [False, True, True, True]
    assert index.min_visibility == (0.25, 0.0)


def test_summary_counts_identities_per_sequence():
    frames = [make_frame("a", 2, sequence="A", roles=[0, 1]), make_frame("b", 2, sequence="B", visibility=[1, 0])]
    index = FrameIndex.from_frames(frames, min_visibility={"D": 0.5})
    assert index.summary() == (
        "D: 2 images, 2 sequences, 3 boxes, 3 annotated identities, 1 ignored, 1 not visible enough for training "
        "(supervision self)"
    )


def test_take_selects_frames_with_their_boxes():
    index = FrameIndex.from_frames(make_frame(f"{i}", i, sequence="S", frame=i) for i in range(5))
    some = index.take([4, 0, 2])
    assert [len(some.frame(i)) for i in range(3)] == [4, 0, 2]
    assert some.frame(0).identities.tolist() == [0, 1, 2, 3]


def test_it_is_compact():
    frames = (make_frame(f"/data/{i:06d}.jpg", 20, sequence="S", frame=i) for i in range(2000))
    index = FrameIndex.from_frames(frames)
    assert len(pickle.dumps(index)) < 2000 * (20 * 40 + 100)
