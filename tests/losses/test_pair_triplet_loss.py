"""Value and gradient of pytorch-metric-learning's TripletMarginLoss, from the pairs alone."""

import pytest
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner, TripletMarginMiner
from pytorch_metric_learning.reducers import MeanReducer, SumReducer, ThresholdReducer
from test_blockwise_miner import PAIRS, rows

from jde_lightning.errors import InputError
from jde_lightning.losses import BlockwiseEasyHardMiner, PairTripletMarginLoss

DATA = {
    "crowd": lambda: rows(200, 20),
    "wide": lambda: rows(90, 9, dim=128),
    "all one": lambda: rows(40, 1),
    "all different": lambda: (rows(40, 5)[0], torch.arange(40)),
    "duplicates": lambda: (rows(30, 10)[0].repeat(2, 1), rows(30, 10)[1].repeat(2)),
    "two": lambda: (rows(2, 1)[0], torch.tensor([0, 0])),
    "one": lambda: rows(1, 1),
    "long and short": lambda: (rows(60, 8)[0] * torch.logspace(-4, 4, 60)[:, None], rows(60, 8)[1]),
}
OPTIONS = [
    {},
    {"swap": True},
    {"smooth_loss": True},
    {"swap": True, "smooth_loss": True},
    {"reducer": MeanReducer()},
    {"reducer": SumReducer(), "swap": True},
    {"reducer": ThresholdReducer(low=0.02)},
]


def value_and_gradient(loss, x, ids, mined, **references):
    x = x.clone().requires_grad_()
    value = loss(x, ids, mined, **references)
    value.backward()
    return value.detach().double(), x.grad.double()


def assert_equal(ours, theirs) -> None:
    """To 1e-5 of the value, and of the longest row of the gradient."""
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-9)
    scale = theirs[1].abs().max().item()
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("margin", [0.0, 0.075, 0.5])
def test_equals_the_library_on_its_own_triplets(name, options, margin):
    x, ids = DATA[name]()
    mined = BatchEasyHardMiner("hard", "semihard")(x, ids)
    ours = value_and_gradient(PairTripletMarginLoss(margin, **options), x, ids, mined)
    # float64, as the library's distances lose digits where rows are close
    assert_equal(ours, value_and_gradient(TripletMarginLoss(margin, **options), x.double(), ids, mined))


@pytest.mark.parametrize("name", [name for name in DATA if name != "duplicates"])
@pytest.mark.parametrize(("pos", "neg"), PAIRS)
def test_miner_and_loss_together_equal_the_library(name, pos, neg):
    x, ids = DATA[name]()
    ours = value_and_gradient(PairTripletMarginLoss(), x, ids, BlockwiseEasyHardMiner(pos, neg)(x, ids))
    x = x.double()
    assert_equal(ours, value_and_gradient(TripletMarginLoss(0.075), x, ids, BatchEasyHardMiner(pos, neg)(x, ids)))


@pytest.mark.parametrize("name", ["crowd", "wide"])
def test_equals_the_library_in_its_own_precision(name):
    x, ids = DATA[name]()
    ours = value_and_gradient(PairTripletMarginLoss(), x, ids, BlockwiseEasyHardMiner()(x, ids))
    theirs = value_and_gradient(TripletMarginLoss(0.075), x, ids, BatchEasyHardMiner("hard", "semihard")(x, ids))
    assert_equal(ours, theirs)
    assert ours[0] > 0


def test_no_rows():
    x = torch.zeros(0, 8, requires_grad=True)
    ids = torch.zeros(0, dtype=torch.int64)
    value = PairTripletMarginLoss()(x, ids, BlockwiseEasyHardMiner()(x, ids))
    value.backward()
    assert value == 0
    assert x.grad.shape == (0, 8)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rows_all_the_same_have_a_finite_gradient(options):
    x = torch.ones(30, 8) / 3
    ids = torch.arange(30) % 5
    anchors = torch.arange(30)
    mined = anchors, (anchors + 5) % 30, (anchors + 1) % 30
    value, gradient = value_and_gradient(PairTripletMarginLoss(**options), x, ids, mined)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_nothing_active_is_exactly_0():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    value, gradient = value_and_gradient(PairTripletMarginLoss(), x, None, tuple(torch.tensor([[0], [1], [2]])))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("mined", ["triplets", "pairs", "unsorted pairs", "none"])
def test_triplets_of_any_origin(mined):
    x, ids = rows(40, 6)
    if mined == "triplets":
        indices = TripletMarginMiner(margin=0.3)(x, ids)
    elif mined == "none":
        indices = None
    else:
        indices = BatchEasyHardMiner("all", "all")(x, ids)
        if mined == "unsorted pairs":
            g = torch.Generator().manual_seed(0)
            positive, negative = (torch.randperm(len(indices[k]), generator=g) for k in (0, 2))
            indices = indices[0][positive], indices[1][positive], indices[2][negative], indices[3][negative]
    ours = value_and_gradient(PairTripletMarginLoss(0.2), x, ids, indices)
    assert_equal(ours, value_and_gradient(TripletMarginLoss(0.2), x.double(), ids, indices))


def test_references_of_their_own():
    x, ids = rows(40, 6)
    y, other_ids = rows(50, 6, seed=1)
    mined = BlockwiseEasyHardMiner()(x, ids, y, other_ids)
    ours = value_and_gradient(PairTripletMarginLoss(), x, ids, mined, ref_emb=y, ref_labels=other_ids)
    x, y = x.double(), y.double()
    assert_equal(ours, value_and_gradient(TripletMarginLoss(0.075), x, ids, mined, ref_emb=y, ref_labels=other_ids))


def test_half_precision_is_computed_in_float32():
    x, ids = rows(80, 10)
    half = x.bfloat16()
    mined = BlockwiseEasyHardMiner()(half, ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = PairTripletMarginLoss()(half, ids, mined)
    assert value.dtype == torch.float32
    assert torch.equal(value, PairTripletMarginLoss()(half.float(), ids, mined))


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_margin_below_0(margin):
    with pytest.raises(InputError, match=f"margin must be a number of at least 0, got {margin}"):
        PairTripletMarginLoss(margin)
