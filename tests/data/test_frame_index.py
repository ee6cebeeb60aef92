import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data.frame_columns import COLUMNS
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers.base import Reader
from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.summary import describe
from jde_lightning.errors import InputError
from jde_lightning.structures import Role


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
    assert (len(index), index.sequences, describe(index)) == (0, {}, "no images")
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
    assert describe(index) == (
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


class Named(Fixed):
    def __init__(self, frames, class_names, name="D", **options):
        super().__init__(frames, name, **options)
        self.class_names = class_names


def test_joining_gives_what_reading_at_once_gives():
    first = [make_frame("b", 2, sequence="B", frame=2), make_frame("s", 1), make_frame("a", 3, sequence="A", frame=1)]
    second = [make_frame("e", 2, dataset="E", sequence="B", frame=1), make_frame("long/name.jpg", 0, dataset="E")]
    third = [make_frame("b1", 1, sequence="B", frame=1), make_frame("c", 2, sequence="C", frame=1), make_frame("s2", 4)]
    parts = [FrameIndex.from_frames(frames) for frames in (first, second, third)]
    joined = FrameIndex.joined(parts)
    expected = FrameIndex.from_frames(first + second + third)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(joined, name), getattr(expected, name), name)
        assert getattr(joined, name).dtype == getattr(expected, name).dtype
    assert (joined.datasets, joined.sequence_names) == (expected.datasets, expected.sequence_names)
    assert list(joined.sequences) == ["D/B", "A", "E/B", "C"]


def test_joining_nothing_and_the_empty():
    assert len(FrameIndex.joined([])) == 0
    empty = FrameIndex.from_readers([Fixed([]), Fixed([], "E")], Path(), ["person"])
    assert (len(empty), empty.datasets, empty.supervision) == (0, ("D", "E"), ("self", "self"))
    assert describe(empty).startswith("D: 0 images, 0 sequences, 0 boxes")
    index = FrameIndex.from_readers([Fixed([]), Fixed([make_frame("a", 2, dataset="E")], "E")], Path())
    assert (len(index), len(index.boxes), index.frame(0).dataset) == (1, 2, "E")


def test_a_frame_that_two_readers_deliver_is_refused():
    readers = [Fixed([make_frame("a", sequence="S", frame=3)]), Fixed([make_frame("b", sequence="S", frame=3)])]
    with pytest.raises(InputError, match="frame 3 of sequence 'S' of dataset 'D' is read twice"):
        FrameIndex.from_readers(readers, Path())


def test_classes_are_found_by_name():
    readers = [
        Named([make_frame("a", 4, labels=[0, 1, 2, 1], roles=[0, 0, 0, 1])], ("car", "person", "dog")),
        Named([make_frame("b", 2, dataset="E", labels=[0, 1])], ("dog", "person"), "E"),
    ]
    index = FrameIndex.from_readers(readers, Path(), ["person", "dog"])
    assert index.class_names == ("person", "dog")
    assert index.roles.tolist() == [Role.OTHER, 0, 0, Role.IGNORE, 0, 0]
    assert index.labels[index.roles == 0].tolist() == [0, 1, 1, 0]
    assert index.findings["D"].notes == {"boxes of classes not in data.class_names: car": 1}
    assert index.findings["E"].notes == {}
    assert readers[0].findings.notes == {}  # what the reader met does not depend on the wish


def test_without_a_wish_all_classes_are_kept():
    readers = [
        Named([make_frame("a", 2, labels=[0, 1])], ("car", "person")),
        Named([make_frame("b", 2, dataset="E", labels=[0, 1])], ("person", "dog"), "E"),
    ]
    index = FrameIndex.from_readers(readers, Path())
    assert index.class_names == ("car", "person", "dog")
    assert index.labels.tolist() == [0, 1, 1, 2]
    assert FrameIndex.from_readers([Named([make_frame("a", labels=[0, 7])], None)], Path()).class_names is None


def test_findings_of_one_dataset_are_put_together():
    readers = [Fixed([make_frame("a")]), Fixed([make_frame("b")]), Fixed([], "E")]
    for number, reader in enumerate(readers):
        reader.findings = Findings(missing=[f"{number}.jpg"], notes=Counter(swapped=number))
    index = FrameIndex.from_readers(readers, Path())
    assert index.findings["D"] == Findings(missing=["0.jpg", "1.jpg"], notes=Counter(swapped=1))
    assert index.findings["E"].missing == ["2.jpg"]


def test_frames_are_views_that_nobody_can_write_through():
    index = FrameIndex.from_frames([make_frame("a", 2)])
    with pytest.raises(ValueError, match="read-only"):
        index.frame(0).boxes[0, 0] = 1
    back = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(back.boxes, index.boxes)
