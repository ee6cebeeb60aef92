"""The same distances as pytorch-metric-learning's BatchEasyHardMiner, block by block."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner

from jde_lightning.errors import InputError
from jde_lightning.losses import BlockwiseEasyHardMiner
from jde_lightning.losses.block_search import full_precision

PAIRS = [
    (p, n)
    for p, n in itertools.product(["easy", "semihard", "hard", "all"], ["easy", "semihard", "hard"])
    if n != "semihard" or p in ("easy", "hard")
]


def rows(n: int, identities: int, seed: int = 0, dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(identities, (n,), generator=g)
    return torch.randn(identities, dim, generator=g)[ids] + torch.randn(n, dim, generator=g), ids


def cosines(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.normalize(x.double()) @ F.normalize(y.double()).T


def assert_same_pairs(ours, theirs, x: torch.Tensor, y: torch.Tensor) -> None:
    """Same anchors, and partners as far away: which of two at the same distance is chosen is nobody's right."""
    similarity = cosines(x, y)
    for anchor, other in ((0, 1), (2, 3)):
        assert torch.equal(ours[anchor], theirs[anchor])
        a, b = similarity[ours[anchor], ours[other]], similarity[theirs[anchor], theirs[other]]
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
@pytest.mark.parametrize(
    ("n", "identities"),
    [(200, 20), (200, 150), (130, 1), (24, 3), (2, 1), (2, 2), (1, 1)],
    ids=["crowd", "most alone", "all one", "few rows", "a pair", "two alone", "one row"],
)
def test_equals_the_library(pos, neg, n, identities):
    x, ids = rows(n, identities)
    ours = BlockwiseEasyHardMiner(pos, neg)(x, ids)
    assert_same_pairs(ours, BatchEasyHardMiner(pos, neg)(x, ids), x, x)


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
def test_all_different_gives_no_triplet(pos, neg):
    x, _ = rows(50, 50)
    ids = torch.arange(50)
    ours = BlockwiseEasyHardMiner(pos, neg)(x, ids)
    assert_same_pairs(ours, BatchEasyHardMiner(pos, neg)(x, ids), x, x)
    assert len(ours[0]) == 0


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
def test_without_rows(pos, neg):
    """The library fails here."""
    mined = BlockwiseEasyHardMiner(pos, neg)(torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64))
    assert [(len(part), part.dtype) for part in mined] == [(0, torch.int64)] * 4


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_exact_ties_are_no_semi_hard_pairs(pos, neg, seed):
    """Corners of a cube of 16 sides: every cosine is a multiple of 1/8 and exact, and many rows are the same."""
    g = torch.Generator().manual_seed(seed)
    corners = torch.randint(2, (9, 16), generator=g) * 2.0 - 1
    x = corners[torch.randint(9, (120,), generator=g)]
    ids = torch.randint(25, (120,), generator=g)
    ours = BlockwiseEasyHardMiner(pos, neg, block_size=13)(x, ids)
    # in float64 the library's distances are exact as well: squares of halves
    assert_same_pairs(ours, BatchEasyHardMiner(pos, neg)(x.double() / 4, ids), x, x)


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
@pytest.mark.parametrize("block_size", [1, 7, 64, 1000])
def test_block_size_changes_nothing(pos, neg, block_size):
    x, ids = rows(150, 20, seed=3)
    assert_same_pairs(
        BlockwiseEasyHardMiner(pos, neg, block_size=block_size)(x, ids), BlockwiseEasyHardMiner(pos, neg)(x, ids), x, x
    )


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
def test_more_columns_than_a_tile(pos, neg, monkeypatch):
    monkeypatch.setattr("jde_lightning.losses.block_search._CPU_TILE", (32, 64))
    for identities in (40, 2):
        x, ids = rows(300, identities, seed=4)
        assert_same_pairs(BlockwiseEasyHardMiner(pos, neg)(x, ids), BatchEasyHardMiner(pos, neg)(x, ids), x, x)


@pytest.mark.parametrize(("pos", "neg"), PAIRS)
@pytest.mark.parametrize("others", [0, 1, 90])
def test_references_of_their_own(pos, neg, others):
    x, ids = rows(60, 12, seed=5)
    y, other_ids = rows(others, 14, seed=6)
    ours = BlockwiseEasyHardMiner(pos, neg, block_size=17)(x, ids, y, other_ids)
    if others:
        assert_same_pairs(ours, BatchEasyHardMiner(pos, neg)(x, ids, y, other_ids), x, y)
    else:
        assert len(ours[0]) == len(ours[2]) == 0


def test_identities_that_floats_cannot_tell_apart():
    x, ids = rows(80, 10)
    plain, large = BlockwiseEasyHardMiner()(x, ids), BlockwiseEasyHardMiner()(x, 2**62 - ids)
    assert all(torch.equal(a, b) for a, b in zip(plain, large, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_and_autocast_are_mined_in_float32(dtype):
    x, ids = rows(80, 10)
    x = x.to(dtype).requires_grad_()
    expected = BlockwiseEasyHardMiner()(x.detach().float(), ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mined = BlockwiseEasyHardMiner()(x, ids)
    assert all(torch.equal(a, b) for a, b in zip(mined, expected, strict=True))


def test_reduced_matmul_precision_is_neither_used_nor_changed():
    x = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
    expected = x @ x
    try:
        torch.set_float32_matmul_precision("medium")  # bfloat16 on CPUs that can, TF32 on GPUs
        with full_precision():
            product = x @ x
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(product, expected)


def test_serves_the_losses_of_the_library_and_counts_as_its_miners_do():
    x, ids = rows(80, 10)
    ours, theirs = BlockwiseEasyHardMiner("easy", "hard"), BatchEasyHardMiner("easy", "hard")
    ours.collect_stats = theirs.collect_stats = True
    assert ContrastiveLoss()(x, ids, ours(x, ids)) == ContrastiveLoss()(x, ids, theirs(x, ids))
    assert (ours.num_pos_pairs, ours.num_neg_pairs) == (theirs.num_pos_pairs, theirs.num_neg_pairs)


@pytest.mark.parametrize(
    ("pos", "neg", "message"),
    [
        ("semihard", "semihard", "pos_strategy 'semihard' goes with neg_strategy easy or hard, got 'semihard'"),
        ("all", "semihard", "pos_strategy 'all' goes with neg_strategy easy or hard, got 'semihard'"),
        ("hard", "all", "neg_strategy must be one of easy, semihard, hard, got 'all'; the miner AllPairs compares"),
        ("hardest", "hard", "pos_strategy must be one of easy, semihard, hard, all, got 'hardest'"),
        ("hard", "none", "neg_strategy must be one of easy, semihard, hard, got 'none'"),
    ],
)
def test_impossible_strategies(pos, neg, message):
    with pytest.raises(InputError, match=message):
        BlockwiseEasyHardMiner(pos, neg)


def test_block_size_below_1():
    with pytest.raises(InputError, match="block_size must be a whole number of at least 1, got 0"):
        BlockwiseEasyHardMiner(block_size=0)
