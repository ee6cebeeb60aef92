import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner, MultiSimilarityMiner

from jde_lightning.errors import InputError
from jde_lightning.losses import AllPairs, BlockwiseEasyHardMiner, ReIDLoss
from jde_lightning.losses.mining import ForbiddenNegatives


def certain_triplets(embeddings, ids, frames, scopes, labels=None, block_size=None, **strategies):
    miner = BlockwiseEasyHardMiner(**strategies, block_size=block_size)
    anchors, positives, _, negatives = miner.mine_allowed(embeddings, ids, ForbiddenNegatives(frames, scopes, labels))
    return anchors, positives, negatives


def rows(n=60, identities=12, seed=0, dim=8):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(identities, (n,), generator=generator)
    return torch.randn(n, dim, generator=generator), ids, ids % 4, torch.zeros_like(ids)


def by_hand(embeddings, ids, frames, scopes, labels=None):
    """One anchor after the other, in plain Python."""
    unit = torch.nn.functional.normalize(embeddings)
    distance = torch.cdist(unit, unit)
    found = []
    for a in range(len(ids)):
        positives = [p for p in range(len(ids)) if p != a and ids[p] == ids[a]]
        if not positives:
            continue
        hardest = max(positives, key=lambda p: distance[a, p].item())
        negatives = [
            n
            for n in range(len(ids))
            if ids[n] != ids[a]
            and not (scopes[n] == scopes[a] >= 0 and frames[n] != frames[a])
            and (labels is None or labels[n] == labels[a])
            and distance[a, n] > distance[a, hardest]
        ]
        if negatives:
            found.append((a, hardest, min(negatives, key=lambda n: distance[a, n].item())))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block_size", [7, 1024])
def test_equals_a_plain_loop(seed, block_size):
    embeddings, ids, frames, scopes = rows(seed=seed)
    scopes = torch.where(ids < 8, 0, -1)  # some people in one video, others certain
    mined = certain_triplets(embeddings, ids, frames, scopes, block_size=block_size)
    assert list(zip(*(m.tolist() for m in mined), strict=True)) == by_hand(embeddings, ids, frames, scopes)


@pytest.mark.parametrize("block_size", [7, 1024])
def test_negatives_of_the_same_class(block_size):
    embeddings, ids, frames, scopes = rows()
    labels = ids % 3
    mined = certain_triplets(embeddings, ids, None, None, labels, block_size=block_size)
    never = torch.full_like(ids, -1)
    assert list(zip(*(m.tolist() for m in mined), strict=True)) == by_hand(embeddings, ids, frames, never, labels)
    mined = certain_triplets(embeddings, ids, frames, scopes, labels, block_size=block_size)
    assert list(zip(*(m.tolist() for m in mined), strict=True)) == by_hand(embeddings, ids, frames, scopes, labels)


def test_an_identity_of_two_classes_keeps_its_positives():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    ids, labels = torch.tensor([5, 5, 6, 7]), torch.tensor([0, 1, 0, 1])
    anchors, positives, negatives = certain_triplets(embeddings, ids, None, None, labels)
    assert (anchors.tolist(), positives.tolist(), negatives.tolist()) == ([0, 1], [1, 0], [2, 3])


def test_certain_negatives_with_another_strategy():
    embeddings, ids, frames, scopes = rows()
    anchors, _, negatives = certain_triplets(
        embeddings, ids, frames, scopes, pos_strategy="easy", neg_strategy="hard", block_size=9
    )
    unit = torch.nn.functional.normalize(embeddings)
    distance = torch.cdist(unit, unit)
    different = (ids[:, None] != ids) & (frames[:, None] == frames)  # all rows are of one video
    nearest = distance.masked_fill(~different, torch.inf).amin(dim=1)
    assert len(anchors) > 10
    torch.testing.assert_close(distance[anchors, negatives], nearest[anchors])


@pytest.mark.parametrize("seed", range(3))
def test_without_doubt_it_is_batch_easy_hard_mining(seed):
    embeddings, ids, frames, _ = rows(seed=seed)
    ours = certain_triplets(embeddings, ids, frames, torch.full_like(ids, -1))
    theirs = BatchEasyHardMiner(pos_strategy="hard", neg_strategy="semihard")(embeddings, ids)
    loss = TripletMarginLoss(margin=0.075)
    assert loss(embeddings, ids, ours).item() == pytest.approx(loss(embeddings, ids, theirs).item(), abs=1e-6)
    assert len(ours[0]) == len(theirs[0])


def test_the_same_person_in_another_frame_is_no_negative():
    # rows 0 and 1: two views of a box in frame 0; row 2: that person in frame 1; row 3: somebody else in frame 0
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    ids, frames = torch.tensor([5, 5, 6, 7]), torch.tensor([0, 0, 1, 0])
    anchors, _, negatives = certain_triplets(embeddings, ids, frames, torch.zeros(4, dtype=torch.int64))
    assert negatives[anchors == 0].tolist() == [3]
    anchors, _, negatives = certain_triplets(embeddings, ids, frames, torch.full((4,), -1))
    assert negatives[anchors == 0].tolist() == [2]


def test_other_videos_are_certain_to_show_other_people():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]])
    ids, frames = torch.tensor([5, 5, 6]), torch.tensor([0, 0, 1])
    assert len(certain_triplets(embeddings, ids, frames, torch.tensor([0, 0, 1]))[0]) > 0
    assert len(certain_triplets(embeddings, ids, frames, torch.tensor([0, 0, 0]))[0]) == 0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_rows_give_no_triplets(n):
    empty = torch.zeros(n, dtype=torch.int64)
    assert all(len(part) == 0 for part in certain_triplets(torch.randn(n, 4), empty, empty, empty))


def test_reid_loss_uses_the_scopes_only_when_asked():
    embeddings, ids, frames, scopes = rows()
    origin = {"source_frames": frames, "scopes": scopes}
    certain, every = ReIDLoss(), ReIDLoss(negatives="any")
    assert every(embeddings, ids, **origin) == every(embeddings, ids)
    assert certain(embeddings, ids).item() == pytest.approx(every(embeddings, ids).item(), abs=1e-6)
    expected = TripletMarginLoss(margin=0.075)(embeddings, ids, certain_triplets(embeddings, ids, frames, scopes))
    assert certain(embeddings, ids, **origin).item() == pytest.approx(expected.item(), abs=1e-6)
    assert certain(embeddings, ids, **origin).item() != pytest.approx(every(embeddings, ids).item(), abs=1e-4)


def test_all_pairs_leave_out_the_forbidden_ones():
    embeddings, ids, frames, scopes = rows(n=30)
    labels = ids % 3
    mined = AllPairs().mine_allowed(embeddings, ids, ForbiddenNegatives(frames, scopes, labels))
    n = range(len(ids))
    positive = {(a, b) for a in n for b in n if a != b and ids[a] == ids[b]}
    negative = {(a, b) for a in n for b in n if ids[a] != ids[b] and frames[a] == frames[b] and labels[a] == labels[b]}
    found = [list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in (mined[:2], mined[2:])]
    assert [set(pairs) for pairs in found] == [positive, negative]
    assert [len(pairs) for pairs in found] == [len(positive), len(negative)]


def test_a_loss_of_all_pairs_with_certain_negatives():
    """Of a supervised contrastive loss, whose denominators then miss the doubtful pairs."""
    embeddings, ids, frames, scopes = rows()
    loss = ReIDLoss(AllPairs(), SupConLoss(temperature=0.1), negatives="certain")
    similarity = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(embeddings).T / 0.1
    same = (ids[:, None] == ids).fill_diagonal_(False)
    compared = same | ((ids[:, None] != ids) & (frames[:, None] == frames))
    log = similarity - similarity.masked_fill(~compared, -torch.inf).logsumexp(dim=1, keepdim=True)
    each = -(log * same).sum(dim=1)[same.any(dim=1)] / same.sum(dim=1)[same.any(dim=1)]
    found = loss(embeddings, ids, source_frames=frames, scopes=scopes)
    assert found.item() == pytest.approx(each.mean().item(), rel=1e-5)
    assert found.item() != pytest.approx(loss(embeddings, ids).item(), rel=1e-2)


@pytest.mark.parametrize(
    ("miner", "loss"),
    [
        (BatchEasyHardMiner(pos_strategy="hard", neg_strategy="hard"), TripletMarginLoss(margin=0.5)),
        (MultiSimilarityMiner(), ContrastiveLoss()),
    ],
)
def test_doubtful_pairs_are_left_out_of_what_another_miner_chose(miner, loss):
    embeddings, ids, frames, scopes = rows()
    frames, labels = torch.randint(3, (len(ids),)), torch.arange(len(ids)) % 2
    chosen = miner(embeddings, ids)
    anchors, negatives = (chosen[0], chosen[2]) if len(chosen) == 3 else chosen[2:]
    pairs = list(zip(anchors.tolist(), negatives.tolist(), strict=True))
    allowed = torch.tensor([bool(frames[a] == frames[n] and labels[a] == labels[n]) for a, n in pairs])
    assert 0 < allowed.sum() < len(allowed)
    left = [part[allowed] if len(chosen) == 3 or place > 1 else part for place, part in enumerate(chosen)]
    reid = ReIDLoss(miner, loss, negatives="certain", negative_classes="same")
    found = reid(embeddings, ids, source_frames=frames, scopes=scopes, labels=labels)
    assert found.item() == pytest.approx(loss(embeddings, ids, tuple(left)).item(), abs=1e-7)
    assert found.item() != pytest.approx(loss(embeddings, ids, chosen).item(), abs=1e-5)


@pytest.mark.parametrize("option", [{"negatives": "sure"}, {"negative_classes": "certain"}])
def test_unknown_choice(option):
    (name, value), *_ = option.items()
    with pytest.raises(InputError, match=rf"{name} must be any or (certain|same), got '{value}'"):
        ReIDLoss(**option)


def test_reid_loss_compares_within_classes_when_asked():
    embeddings, ids, *_ = rows()
    labels = ids % 3
    expected = TripletMarginLoss(margin=0.075)(embeddings, ids, certain_triplets(embeddings, ids, None, None, labels))
    value = ReIDLoss(negative_classes="same")(embeddings, ids, labels=labels)
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)
    assert value.item() != pytest.approx(ReIDLoss()(embeddings, ids, labels=labels).item(), abs=1e-4)
    with pytest.raises(ValueError, match="negative_classes=same needs the labels of the rows"):
        ReIDLoss(negative_classes="same")(embeddings, ids)


def test_all_pairs_leaves_the_choice_to_the_loss():
    embeddings, ids, *_ = rows()
    loss = SupConLoss(temperature=0.1)
    ours = ReIDLoss(miner=AllPairs(), loss=loss)(embeddings, ids)
    unit = torch.nn.functional.normalize(embeddings)
    similarity = unit @ unit.T / 0.1
    terms = []
    for a in range(len(ids)):
        others = [j for j in range(len(ids)) if j != a]
        positives = [j for j in others if ids[j] == ids[a]]
        if positives:
            total = torch.logsumexp(similarity[a, others], dim=0)
            terms.append(sum(total - similarity[a, p] for p in positives) / len(positives))
    assert ours.item() == pytest.approx((sum(terms) / len(terms)).item(), rel=1e-4)
    assert ReIDLoss(miner=AllPairs(), loss=loss)(embeddings[:0], ids[:0]).item() == 0
