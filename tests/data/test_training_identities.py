import json

import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data.identities import IdentityTable, ambiguity_scopes, assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY

FRAMES = [
    make_frame("a1", 3, sequence="MOT17-02-FRCNN", frame=1, identities=[5, 0, -1], dataset="MOT17"),
    make_frame("a2", 3, sequence="MOT17-02-FRCNN", frame=2, identities=[5, 9, 0], roles=[0, 1, 0], dataset="MOT17"),
    make_frame("b1", 1, sequence="MOT17-02-SDP", frame=1, identities=[5], dataset="MOT17"),
    make_frame("c1", 1, sequence="MOT17-04-SDP", frame=1, identities=[5], dataset="MOT17"),
    make_frame("p1", 2, identities=[5, -1], dataset="PRW"),
]


def assign(mode):
    return assign_training_identities(FrameIndex.from_frames(FRAMES), {"MOT17": mode, "PRW": mode})


def test_self_gives_every_positive_its_own():
    identities, table = assign("self")
    positive = identities != NO_IDENTITY
    assert positive.tolist() == [True, True, True, True, False, True, True, True, True, True]
    assert sorted(identities[positive]) == list(range(9))
    assert (table.keys, table.num_synthetic, len(table)) == ((), 9, 9)


def test_full_numbers_people_densely_across_copies_and_sequences():
    identities, table = assign("full")
    # 5 of MOT17-02 is one person in both copies, another than 5 of MOT17-04 and 5 of PRW; 0 is a valid identity.
    assert identities.tolist() == [1, 0, -1, 1, -1, 0, 1, 2, 3, -1]
    assert table.keys == (
        ("MOT17", "MOT17-02", 0),
        ("MOT17", "MOT17-02", 5),
        ("MOT17", "MOT17-04", 5),
        ("PRW", "global", 5),
    )
    assert table.num_synthetic == 0


def test_weak_gives_the_unlabelled_their_own():
    identities, table = assign("weak")
    assert identities.tolist() == [1, 0, 4, 1, -1, 0, 1, 2, 3, 5]
    assert [table.is_synthetic(identity) for identity in range(6)] == [False] * 4 + [True] * 2


def test_datasets_differ_in_supervision():
    index = FrameIndex.from_frames(FRAMES, supervision={"MOT17": "full", "PRW": "self"})
    identities, table = assign_training_identities(index)
    assert identities.tolist() == [1, 0, -1, 1, -1, 0, 1, 2, 3, 4]
    assert (len(table.keys), table.num_synthetic) == (3, 2)


def test_the_table_survives_json():
    _, table = assign("weak")
    assert IdentityTable.from_dict(json.loads(json.dumps(table.as_dict()))) == table


def test_nothing_to_number():
    identities, table = assign_training_identities(FrameIndex.from_frames([]))
    assert (identities.shape, identities.dtype, len(table)) == ((0,), np.int64, 0)
    identities, table = assign_training_identities(FrameIndex.from_frames([make_frame("e", 0)]), {"D": "full"})
    assert (identities.shape, len(table)) == ((0,), 0)


def test_unknown_supervision():
    with pytest.raises(InputError, match="supervision of dataset 'D' is 'strong', expected self, weak or full"):
        assign_training_identities(FrameIndex.from_frames([make_frame()]), {"D": "strong"})


def test_scopes_mark_synthetic_identities_of_videos_only(tmp_path):
    frames = [
        make_frame(tmp_path / "a.jpg", 2, identities=[4, 5], dataset="V", sequence="S-01", frame=1),
        make_frame(tmp_path / "b.jpg", 1, identities=[4], dataset="V", sequence="S-02", frame=1),
        make_frame(tmp_path / "c.jpg", 1, identities=[9], dataset="L", sequence="S-03", frame=1),
        make_frame(tmp_path / "d.jpg", 1, dataset="I"),
    ]
    index = FrameIndex.from_frames(frames, supervision={"V": "self", "L": "full", "I": "self"})
    identities, table = assign_training_identities(index)
    scopes = ambiguity_scopes(index, identities, table)
    by_path = {index.path(i).name: scopes[index.offsets[i] : index.offsets[i + 1]].tolist() for i in range(len(index))}
    assert by_path["a.jpg"][0] == by_path["a.jpg"][1] >= 0
    assert by_path["b.jpg"][0] >= 0
    assert by_path["b.jpg"] != by_path["a.jpg"][:1]
    assert by_path["c.jpg"] == [-1]
    assert by_path["d.jpg"] == [-1]
