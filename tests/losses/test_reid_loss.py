"""The Re-ID loss is the paper's triplet loss, and 0 where there is nothing to compare."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses, miners

from jde_lightning.errors import InputError
from jde_lightning.losses import AllPairs, BlockwiseEasyHardMiner, PairTripletMarginLoss, ReIDLoss
from jde_lightning.losses.checks import NonFiniteEmbeddingsError


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
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    ours, theirs = (torch.autograd.grad(v, embeddings)[0] for v in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert ours.abs().max() > 0
    assert torch.equal(ReIDLoss(miner, loss)(embeddings, identities, confidences), expected)


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
        (miners.AngularMiner(), losses.AngularLoss()),
        (AllPairs(), losses.MultiSimilarityLoss()),
        (AllPairs(), losses.NTXentLoss(temperature=0.1)),  # InfoNCE
        (AllPairs(), losses.SupConLoss()),
        (AllPairs(), losses.AngularLoss()),
        (AllPairs(), losses.CircleLoss()),
        (BlockwiseEasyHardMiner("easy", "hard"), losses.ContrastiveLoss()),
        (BlockwiseEasyHardMiner("all", "hard"), losses.TripletMarginLoss()),
        (miners.TripletMarginMiner(margin=0.2), PairTripletMarginLoss(margin=0.2)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_other_miners_and_losses_fit(miner, loss):
    embeddings, identities, _ = example()
    expected = loss(embeddings, identities, miner(embeddings, identities))
    assert torch.equal(ReIDLoss(miner, loss)(embeddings, identities), expected)
    assert expected > 0


CLASSIFY = [
    losses.ArcFaceLoss(num_classes=8, embedding_size=6),
    losses.CosFaceLoss(num_classes=8, embedding_size=6),
    losses.NormalizedSoftmaxLoss(num_classes=8, embedding_size=6),  # cross-entropy
    losses.ProxyAnchorLoss(num_classes=8, embedding_size=6),
    losses.ProxyNCALoss(num_classes=8, embedding_size=6),
    losses.SubCenterArcFaceLoss(num_classes=8, embedding_size=6),
    losses.SoftTripleLoss(num_classes=8, embedding_size=6),
]


@pytest.mark.parametrize("loss", CLASSIFY, ids=lambda loss: type(loss).__name__)
def test_losses_that_classify(loss):
    embeddings, identities, _ = example()
    value = ReIDLoss(AllPairs(), loss)(embeddings, identities)
    assert value > 0
    torch.testing.assert_close(value, loss(embeddings, identities))
    value.backward()
    assert all(p.grad.abs().max() > 0 for p in loss.parameters())
    once = ReIDLoss(AllPairs(), loss)(embeddings[:3], torch.tensor([0, -1, 7]))
    torch.testing.assert_close(once, loss(embeddings[:3:2], torch.tensor([0, 7])))  # no identity need be seen twice


@pytest.mark.parametrize("loss", CLASSIFY, ids=lambda loss: type(loss).__name__)
def test_an_identity_without_a_class(loss):
    embeddings, identities, _ = example()
    identities[3] = 8
    message = f"{type(loss).__name__} has 8 classes, got identity 8: losses that classify need annotated"
    with pytest.raises(InputError, match=message):
        ReIDLoss(AllPairs(), loss)(embeddings, identities)


@pytest.mark.parametrize("identities", [[], [-1, -1]])
def test_the_classes_of_a_loss_get_a_gradient_from_nothing(identities):
    loss = losses.ArcFaceLoss(num_classes=8, embedding_size=6)
    embeddings = torch.randn(len(identities), 6, requires_grad=True)
    value = ReIDLoss(AllPairs(), loss)(embeddings, torch.tensor(identities, dtype=torch.int64))
    value.backward()
    assert value == 0
    assert (loss.W.grad == 0).all()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_per_object": 2}, [0, 1, 3, 4, 5, 6, 7]),
        ({"max_per_image": 2}, [1, 3, 5, 6]),
        ({"max_per_object": 1, "max_per_image": 3}, [1, 3, 5, 6]),
        ({"max_per_object": 1, "top_confidence": 0.5}, [1, 5]),
        ({"max_per_object": 9, "max_per_image": 9}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
    ids=str,
)
def test_limits_keep_the_most_confident_anchors(limits, expected):
    embeddings = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    identities = torch.tensor([0, 0, 0, 1, 1, 0, 1, 1, -1])
    confidences = torch.tensor([0.3, 0.9, 0.2, 0.4, 0.3, 0.8, 0.4, 0.4, 1.0])
    objects = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 4])
    images = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])

    class Spy(torch.nn.Module):
        def forward(self, rows, ids, mined):
            self.rows = rows
            return rows.sum()

    spy = Spy()
    ReIDLoss(AllPairs(), spy, **limits)(embeddings, identities, confidences, objects=objects, images=images)
    taken = (spy.rows[:, None] == embeddings).all(dim=-1).int().argmax(dim=1)
    assert sorted(taken.tolist()) == expected


@pytest.mark.parametrize(
    ("limit", "column"),
    [
        ({"max_per_object": 1}, "confidences"),
        ({"max_per_object": 1}, "objects"),
        ({"max_per_image": 4}, "images"),
    ],
)
def test_limits_need_their_columns(limit, column):
    embeddings, identities, confidences = example()
    given = {"confidences": confidences, "objects": identities, "images": identities}
    (name, value), *_ = limit.items()
    del given[column]
    with pytest.raises(ValueError, match=f"{name}={value} needs the {column} of the rows"):
        ReIDLoss(**limit)(embeddings, identities, **given)


@pytest.mark.parametrize("name", ["max_per_object", "max_per_image"])
def test_limit_below_1(name):
    with pytest.raises(InputError, match=f"{name} must be a whole number of at least 1, or null for no limit, got 0"):
        ReIDLoss(**{name: 0})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_embeddings_that_are_no_numbers(bad):
    embeddings, identities, _ = example()
    embeddings = embeddings.detach()
    embeddings[[4, 7], 2] = bad
    with pytest.raises(NonFiniteEmbeddingsError, match=r"NaN or infinite embeddings in 2 of 40 rows \(4, 7\)"):
        ReIDLoss()(embeddings, identities)
    identities[[4, 7]] = -1  # what does not take part may be anything
    assert ReIDLoss()(embeddings, identities).isfinite()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"identities": torch.zeros(39, dtype=torch.int64)},
            r"identities must have shape \(40,\), one per embedding, ",
        ),
        ({"identities": torch.zeros(40)}, "identities must be int64, which tells any two apart, got torch.float32"),
        ({"identities": torch.zeros(40, dtype=torch.int32)}, "identities must be int64, .* got torch.int32"),
        ({"identities": torch.zeros(40, 1, dtype=torch.int64)}, r"identities must have shape .* got \(40, 1\)"),
        ({"confidences": torch.zeros(41)}, r"confidences must have shape \(40,\), one per embedding, got \(41,\)"),
        ({"labels": torch.zeros(1, dtype=torch.int64)}, r"labels must have shape \(40,\)"),
        ({"embeddings": torch.zeros(40)}, r"embeddings must have shape \(N, D\), got \(40,\)"),
    ],
)
def test_wrong_columns(change, message):
    embeddings, identities, confidences = example()
    with pytest.raises(InputError, match=message):
        ReIDLoss()(**{"embeddings": embeddings, "identities": identities, "confidences": confidences, **change})


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


@pytest.mark.parametrize("wrong", [float("nan"), 7.0, -0.1])
def test_confidences_that_decide_must_be_confidences(wrong):
    embeddings, identities, confidences = example()
    confidences[3] = wrong
    with pytest.raises(InputError, match=r"confidences must lie in 0..1, got .* in row 3"):
        ReIDLoss(top_confidence=0.5)(embeddings, identities, confidences)
    ReIDLoss()(embeddings, identities, confidences)  # nobody looks at them


@pytest.mark.parametrize("miner", [AllPairs(), miners.MultiSimilarityMiner(epsilon=9.0)], ids=["all", "mined"])
def test_info_nce_over_all_anchors_is_refused_before_it_fills_the_memory(miner):
    """2,000 rows of 100 people: 38,000 positive pairs against each of 3,960,000 negative ones."""
    embeddings, identities = torch.randn(2000, 6), torch.arange(2000) % 100
    message = (
        r"NTXentLoss sets each of 38,000 positive pairs against each of 3,960,000 .*2,558 GB: set max_per_object: 1"
    )
    with pytest.raises(InputError, match=message):
        ReIDLoss(miner, losses.NTXentLoss())(embeddings, identities)
    # the same people once per image fit
    value = ReIDLoss(miner, losses.NTXentLoss(), max_per_object=1)(
        embeddings, identities, torch.rand(2000), objects=torch.arange(2000) % 200
    )
    assert torch.isfinite(value)


@pytest.mark.parametrize("column", ["embeddings", "identities", "confidences"])
def test_what_is_no_tensor_is_named(column):
    given = dict(zip(("embeddings", "identities", "confidences"), example(), strict=True))
    given[column] = given[column].detach().numpy()
    with pytest.raises(InputError, match=f"{column} must be a tensor, got ndarray"):
        ReIDLoss()(**given)


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
