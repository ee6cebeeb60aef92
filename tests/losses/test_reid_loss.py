"""The Re-ID loss is the paper's triplet loss, and 0 where there is nothing to compare."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses, miners

from jde_lightning.losses import ReIDLoss


def example(n: int = 40, ids: int = 8, dim: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, dim, generator=g).requires_grad_(),
        torch.randint(ids, (n,), generator=g),
        torch.rand(n, generator=g),
    )


def plain_loop(embeddings: torch.Tensor, identities: torch.Tensor, margin: float = 0.075) -> torch.Tensor:
    """Hard positive, semihard negative, mean over the terms above zero: written out, in float64."""
    x = F.normalize(embeddings.double(), dim=1)
    terms = []
    for a in range(len(x)):
        distance = [(x[a] - x[b]).norm() for b in range(len(x))]
        positives = [d for b, d in enumerate(distance) if b != a and identities[b] == identities[a]]
        if not positives:
            continue
        hardest = max(positives)
        farther = [d for b, d in enumerate(distance) if identities[b] != identities[a] and d > hardest]
        if farther:
            terms.append(hardest - min(farther) + margin)
    above = [t for t in terms if t > 0]
    return sum(above) / len(above) if above else torch.tensor(0.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ids", [3, 8, 20])
def test_equals_a_plain_loop(seed, ids):
    embeddings, identities, confidences = example(ids=ids, seed=seed)
    expected = plain_loop(embeddings.detach(), identities)
    value = ReIDLoss()(embeddings, identities, confidences)
    assert expected > 0
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6, check_dtype=False)


def test_equals_pytorch_metric_learning_with_its_gradient():
    embeddings, identities, confidences = example()
    miner, loss = miners.BatchEasyHardMiner("hard", "semihard"), losses.TripletMarginLoss(margin=0.075)
    expected = loss(embeddings, identities, miner(embeddings, identities))
    value = ReIDLoss()(embeddings, identities, confidences)
    assert torch.equal(value, expected)
    ours, theirs = (torch.autograd.grad(v, embeddings)[0] for v in (value, expected))
    assert torch.equal(ours, theirs)
    assert ours.abs().max() > 0


@pytest.mark.parametrize(
    ("miner", "loss"),
    [
        (miners.MultiSimilarityMiner(), losses.MultiSimilarityLoss()),
        (
            miners.TripletMarginMiner(margin=0.3, type_of_triplets="all"),
            losses.TripletMarginLoss(margin=0.3, swap=True),
        ),
        (miners.BatchHardMiner(), losses.NTXentLoss()),
        (miners.PairMarginMiner(), losses.ContrastiveLoss()),
    ],
)
def test_other_miners_and_losses_fit(miner, loss):
    embeddings, identities, _ = example()
    expected = loss(embeddings, identities, miner(embeddings, identities))
    assert torch.equal(ReIDLoss(miner, loss)(embeddings, identities), expected)
    assert expected > 0


def test_rows_without_identity_are_left_out():
    embeddings, identities, confidences = example()
    identities[::3] = -1
    known = identities != -1
    expected = ReIDLoss()(embeddings[known], identities[known])
    value = ReIDLoss()(embeddings, identities, confidences)
    assert torch.equal(value, expected)
    value.backward()
    assert (embeddings.grad[::3] == 0).all()


def test_identity_0_is_valid():
    embeddings, _, _ = example(4)
    assert ReIDLoss(loss=losses.TripletMarginLoss(margin=2.0))(embeddings, torch.tensor([0, 0, 1, 1])) > 0


def test_identities_that_floats_cannot_tell_apart():
    embeddings, identities, _ = example()
    assert torch.equal(ReIDLoss()(embeddings, 2**60 + identities), ReIDLoss()(embeddings, identities))


@pytest.mark.parametrize("share", [0.5, 0.26, 0.01])
def test_most_confident_rows_take_part(share):
    embeddings, identities, confidences = example(ids=3)
    best = confidences.argsort(descending=True)[: math.ceil(share * 40)]
    expected = ReIDLoss()(embeddings[best], identities[best])
    assert torch.equal(ReIDLoss(top_confidence=share)(embeddings, identities, confidences), expected)


@pytest.mark.parametrize("share", [0.0, 1.5, -0.1])
def test_share_out_of_range(share):
    with pytest.raises(ValueError, match=f"top_confidence must be above 0 and at most 1, got {share}"):
        ReIDLoss(top_confidence=share)


def test_share_needs_confidences():
    with pytest.raises(ValueError, match=r"top_confidence=0.5 needs the confidences"):
        ReIDLoss(top_confidence=0.5)(*example()[:2])


@pytest.mark.parametrize(
    "identities",
    [[], [7], [1, 2, 3, 4], [5, 5, 5], [-1, -1, -1], [-1, -1, 3]],
    ids=["empty", "one row", "no positive", "no negative", "no identity", "one known"],
)
@pytest.mark.parametrize("top_confidence", [1.0, 0.5])
def test_nothing_to_compare_is_exactly_0_with_gradient(identities, top_confidence):
    embeddings = torch.randn(len(identities), 6, requires_grad=True)
    confidences = torch.rand(len(identities))
    value = ReIDLoss(top_confidence=top_confidence)(
        embeddings, torch.tensor(identities, dtype=torch.int64), confidences
    )
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.item() == 0
    value.backward()
    assert embeddings.grad.shape == embeddings.shape
    assert (embeddings.grad == 0).all()


def test_all_negatives_closer_than_the_positive_is_exactly_0():
    embeddings = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    value = ReIDLoss()(embeddings, torch.tensor([1, 1, 2]))
    assert value.item() == 0
    value.backward()
    assert (embeddings.grad == 0).all()


def test_nothing_mined_never_reaches_the_loss():
    class MeanOfNothing(torch.nn.Module):
        def forward(self, embeddings, identities, mined):
            return embeddings[mined[0]].mean()

    class NothingMined(torch.nn.Module):
        def forward(self, embeddings, identities):
            return (identities[:0],) * 3

    assert ReIDLoss(NothingMined(), MeanOfNothing())(*example()).item() == 0


def test_float32_under_autocast_and_from_half():
    embeddings, identities, _ = example()
    expected = ReIDLoss()(embeddings, identities)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = ReIDLoss()(embeddings, identities)
    assert torch.equal(value, expected)
    half = embeddings.detach().bfloat16().requires_grad_()
    value = ReIDLoss()(half, identities)
    assert value.dtype == torch.float32
    value.backward()
    assert half.grad.dtype == torch.bfloat16


def test_gather_without_a_process_group_is_the_same():
    embeddings, identities, confidences = example()
    assert torch.equal(
        ReIDLoss(gather=True)(embeddings, identities, confidences), ReIDLoss()(embeddings, identities, confidences)
    )
