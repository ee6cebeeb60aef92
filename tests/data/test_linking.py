"""Boxes of neighbouring frames that can only be one object share an identity, and no others."""

import itertools

import numpy as np
import pytest
from dataset_files import make_frame
from placeholders import link_sequence

from jde_lightning.data.identities import ambiguity_scopes, assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.linking import LinkingConfig, link_boxes
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.synthetic import render_sequence
from jde_lightning.errors import InputError
from jde_lightning.structures import Role


def box(x, y=0, width=20, height=40):
    return [x, y, x + width, y + height]


def video(*frames, step=1, sequence="S", rate=30.0, **columns):
    """An index of frames given by their boxes; ``columns`` hold one list for each frame."""
    made = []
    for number, boxes in enumerate(frames):
        changes = {name: values[number] for name, values in columns.items()}
        frame = make_frame(f"{number}.jpg", len(boxes), boxes=boxes, frame=1 + number * step, **changes)
        frame.sequence, frame.frame_rate = sequence, rate
        made.append(frame)
    return FrameIndex.from_frames(made)


def chains(index, linkable=None, **settings):
    """The chain of every box, frame by frame."""
    linkable = index.roles == Role.POSITIVE if linkable is None else np.array(linkable)
    found = link_boxes(index, linkable, LinkingConfig(**settings))
    assert found.dtype == np.int64
    return [part.tolist() for part in np.split(found, index.offsets[1:-1])]


def mixed_and_found(index, found):
    """How many chains hold several people, how many people there are, and how many of them are in one chain only."""
    positive = index.roles == Role.POSITIVE
    pairs = np.unique(np.stack([found[positive], index.identities[positive]], axis=1), axis=0)
    people, parts = np.unique(pairs[:, 1], return_counts=True)
    return int((np.bincount(pairs[:, 0]) > 1).sum()), len(people), int((parts == 1).sum())


def test_two_people_walk_apart():
    index = video([box(0), box(100)], [box(97), box(3)], [box(6), box(94)])
    assert chains(index) == [[0, 1], [1, 0], [0, 1]]


def test_who_comes_begins_and_who_goes_ends():
    index = video([box(0)], [box(2), box(200)], [box(202)])
    assert chains(index) == [[0], [0, 1], [1]]


def test_too_little_overlap_is_no_link():
    index = video([box(0)], [box(10)])  # 10 of 30 pixels: IoU 1/3
    assert chains(index) == [[0], [1]]
    assert chains(index, min_iou=0.3) == [[0], [0]]


def test_crossing_people_are_ambiguous():
    # B stands 4 pixels beside A: IoU of A with itself 1, with B 16/24.
    index = video([box(0), box(4)], [box(0), box(4)])
    assert chains(index) == [[0, 1], [0, 1]]
    assert chains(index, max_rival=0.6) == [[0, 1], [2, 3]]


def test_a_rival_of_either_side_prevents_a_link():
    for a, b in itertools.permutations([[box(0)], [box(1), box(-2)]]):
        first, second = chains(video(a, b))
        assert sorted(first + second) == [0, 1, 2]


def test_equal_candidates_are_never_linked():
    assert chains(video([box(0)], [box(1), box(-1)]), max_rival=1.0) == [[0], [1, 2]]


@pytest.mark.parametrize(("step", "linked"), [(1, True), (3, True), (4, False)])
def test_only_short_gaps_are_bridged(step, linked):
    index = video([box(0)], [box(1)], step=step, rate=30.0)  # 3 frames at 30 a second are max_gap exactly
    assert (chains(index) == [[0], [0]]) == linked
    assert chains(index, max_gap=0.5) == [[0], [0]]


def test_gaps_are_seconds():
    assert chains(video([box(0)], [box(1)], rate=5.0)) == [[0], [1]]
    assert chains(video([box(0)], [box(1)], rate=5.0), max_gap=0.2) == [[0], [0]]


def test_a_frame_without_boxes_is_passed_over():
    assert chains(video([box(0)], [], [box(1)])) == [[0], [], [0]]


def test_a_frame_without_the_person_breaks_the_chain():
    assert chains(video([box(0), box(200)], [box(200)], [box(0), box(200)])) == [[0, 1], [1], [2, 1]]


def test_other_classes_neither_link_nor_disturb():
    index = video([box(0)], [box(0)], labels=[[0], [1]])
    assert chains(index) == [[0], [1]]
    index = video([box(0), box(1)], [box(0), box(1)], labels=[[0, 1], [0, 1]])
    assert chains(index) == [[0, 1], [0, 1]]


def test_ignored_boxes_are_rivals_and_other_ones_are_not():
    people = [box(0), box(1)]
    index = video([box(0)], people, roles=[[0], [0, Role.IGNORE]], labels=[[0], [0, 5]])
    assert chains(index) == [[0], [1, -1]]
    index = video([box(0)], people, roles=[[0], [0, Role.OTHER]])
    assert chains(index) == [[0], [0, -1]]


def test_what_may_not_be_linked_is_still_a_rival():
    index = video([box(0)], [box(0), box(1)])
    assert chains(index, [True, True, False]) == [[0], [1, -1]]
    assert chains(index, [True, False, True]) == [[0], [-1, 1]]


def test_the_shift_of_the_picture_is_taken_out():
    row = [box(30 * k) for k in range(4)]
    panned = [box(30 * k + 9, 3) for k in range(4)]  # IoU 0.34 with oneself, 0 with the neighbour
    assert chains(video(row, panned)) == [[0, 1, 2, 3]] * 2


def test_one_person_who_jumps_is_no_shift():
    assert chains(video([box(0)], [box(12)])) == [[0], [1]]
    assert chains(video([box(0), box(200)], [box(12), box(212)])) == [[0, 1], [2, 3]]


def test_single_images_sequences_and_datasets_stay_apart():
    frames = [make_frame(f"{k}.jpg", 1, frame=k) for k in range(2)]
    frames += [make_frame(f"a{k}.jpg", 1, frame=k, sequence="A") for k in range(2)]
    frames += [make_frame(f"b{k}.jpg", 1, frame=k, sequence="B") for k in range(2)]
    frames += [make_frame(f"e{k}.jpg", 1, frame=k, sequence="A", dataset="E") for k in range(2)]
    index = FrameIndex.from_frames(frames)
    by_path = {index.path(i).stem: chains(index)[i][0] for i in range(len(index))}
    assert by_path["a0"] == by_path["a1"]
    assert by_path["b0"] == by_path["b1"]
    assert by_path["e0"] == by_path["e1"]
    assert len(set(by_path.values())) == 5


def test_the_order_of_the_index_does_not_matter():
    index = video([box(0), box(50)], [box(2), box(53)], [box(4), box(56)]).take([2, 0, 1])
    assert chains(index) == [[0, 1]] * 3


@pytest.mark.parametrize("frames", [[], [[]], [[], []], [[box(0)]], [[box(0)], []], [[], [box(0)]]])
def test_little_is_normal(frames):
    assert chains(video(*frames)) == ([[0] * len(boxes) for boxes in frames] or [[]])
    index = video(*frames)
    assert len(assign_training_identities(index, linking=LinkingConfig())[1]) == len(index.boxes)


def test_boxes_without_area_are_not_linked():
    assert chains(video([[5, 5, 5, 5]], [[5, 5, 5, 5]])) == [[0], [1]]


def overlap(a, b):
    """IoU of two boxes, by counting."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union


def links_by_definition(a, b, min_iou, max_rival):
    """Pairs by the three conditions, one after the other, over all pairs of boxes."""
    links = set()
    for i, j in itertools.product(range(len(a)), range(len(b))):
        mine = overlap(a[i], b[j])
        others = [overlap(a[i], b[k]) for k in range(len(b)) if k != j]
        others += [overlap(a[k], b[j]) for k in range(len(a)) if k != i]
        if mine >= min_iou and all(other < max_rival * mine for other in others):
            links.add((i, j))
    return links


@pytest.mark.parametrize("seed", range(40))
def test_links_are_those_of_the_definition(seed, monkeypatch):
    monkeypatch.setattr("jde_lightning.data.linking._SHIFT_PAIRS", 1000)
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 40, (rng.integers(1, 9), 4))
    a[:, 2:] = a[:, :2] + rng.integers(10, 30, (len(a), 2))
    b = np.concatenate([a, a[:2]]) + rng.integers(-3, 4, (len(a) + len(a[:2]), 4))
    b = b[rng.permutation(len(b))]
    settings = {"min_iou": 0.4 + 0.1 * (seed % 4), "max_rival": 0.6 + 0.1 * (seed % 5)}
    first, second = chains(video(a.tolist(), b.tolist()), **settings)
    found = {(i, j) for i, j in itertools.product(range(len(a)), range(len(b))) if first[i] == second[j]}
    assert found == links_by_definition(a.tolist(), b.tolist(), **settings)


@pytest.mark.parametrize(("camera", "least"), [(0, 8), (1, 2)])  # standing, moving
def test_a_synthetic_crowd_is_never_mixed(camera, least):
    frames = []
    for number, rendered in enumerate(render_sequence(camera, frames=40, width=320, height=192), start=1):
        frame = rendered.annotations("x.jpg", "D", "S", number)
        frame.frame_rate = 15.0
        frames.append(frame)
    index = FrameIndex.from_frames(frames)
    found = link_boxes(index, index.roles == Role.POSITIVE)
    mixed, people, whole = mixed_and_found(index, found)
    assert mixed == 0
    assert people >= 10
    assert whole >= least
    assert found.max() + 1 < np.count_nonzero(index.roles == Role.POSITIVE) / 3


@pytest.fixture(scope="module")
def mot17_09(real_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("mot17_09")
    name = "MOT17-09-FRCNN"
    link_sequence(real_data / "mot17" / "gt" / name, root / "train" / name, 525)
    return FrameIndex.from_readers([MOTChallenge(split="train_half")], root)


@pytest.mark.parametrize(("max_rival", "most"), [(0.7, 250), (0.8, 72), (1.0, 17)])
def test_the_people_of_mot17_09_are_never_mixed(mot17_09, max_rival, most):
    config = LinkingConfig(max_rival=max_rival)
    found = link_boxes(mot17_09, mot17_09.roles == Role.POSITIVE, config)
    mixed, people, _ = mixed_and_found(mot17_09, found)
    assert (mixed, people) == (0, 17)
    assert 17 <= found.max() + 1 <= most


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("self", [[0, 1], [0, 1], [0]]),
        ("weak", [[0, 1], [0, 1], [2]]),  # the last box follows a labelled one, which is not linked
        ("full", [[0, -1], [0, -1], [-1]]),
    ],
)
def test_synthetic_identities_are_linked_and_annotated_ones_stay(mode, expected):
    index = video([box(0), box(100)], [box(1), box(101)], [box(2)], identities=[[7, -1], [7, -1], [-1]])
    identities, table = assign_training_identities(index, {"D": mode}, LinkingConfig())
    assert [part.tolist() for part in np.split(identities, index.offsets[1:-1])] == expected
    assert len(table) == identities.max() + 1
    assert len(table.keys) == (0 if mode == "self" else 1)
    assert [table.is_synthetic(identity) for identity in range(len(table))] == [
        identity >= len(table.keys) for identity in range(len(table))
    ]
    # A chain that broke may be the same person: negatives of other frames of the video stay doubtful.
    scopes = ambiguity_scopes(index, identities, table)
    assert scopes.tolist() == np.where(identities >= len(table.keys), 0, -1).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_iou": 0}, "linking.min_iou is 0, expected a number above 0, at most 1"),
        ({"min_iou": 1.5}, "linking.min_iou is 1.5"),
        ({"max_rival": 0.0}, "linking.max_rival is 0.0"),
        ({"max_rival": float("nan")}, "linking.max_rival is nan"),
        ({"max_gap": -1}, "linking.max_gap is -1, expected a number of seconds above 0"),
        ({"max_gap": float("inf")}, "linking.max_gap is inf"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        LinkingConfig(**settings)
