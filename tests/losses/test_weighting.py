"""Learned weights of the two losses, against values and gradients by hand."""

import math

import pytest
import torch
from test_detection_loss import STRIDES, maps
from test_joint_loss import batch_with_pairs

from jde_lightning.losses import FixedWeights, JDELoss, ReIDLoss, UncertaintyWeights


def scalar(value):
    return torch.tensor(value, requires_grad=True)


def test_fixed_weights_are_the_sum():
    weighting = FixedWeights()
    assert weighting(torch.tensor(3.0), torch.tensor(0.25)).item() == 3.25
    assert weighting.weights() == {}
    assert weighting.state_dict() == {}


def test_uncertainty_is_that_of_kendall():
    weighting = UncertaintyWeights(detection=math.log(2), reid=math.log(0.5))
    detection, reid = scalar(4.0), scalar(0.3)
    total = weighting(detection, reid)
    # 0.5 * (4 / 2 + 0.3 / 0.5 + log 2 - log 2)
    assert total.item() == pytest.approx(1.3)
    total.backward()
    assert detection.grad.item() == pytest.approx(0.25)
    assert reid.grad.item() == pytest.approx(1.0)
    assert weighting.detection.grad.item() == pytest.approx(0.5 * (1 - 4 / 2))
    assert weighting.reid.grad.item() == pytest.approx(0.5 * (1 - 0.3 / 0.5))


def test_initial_values_are_fairmots():
    weights = UncertaintyWeights().weights()
    assert weights["detection_weight"].item() == pytest.approx(0.5 * math.exp(1.85))
    assert weights["reid_weight"].item() == pytest.approx(0.5 * math.exp(1.05))
    assert not any(value.requires_grad for value in weights.values())


def test_log_variances_find_the_logarithms_of_the_losses():
    weighting = UncertaintyWeights()
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        weighting(torch.tensor(4.0), torch.tensor(0.1)).backward()
        optimizer.step()
    assert weighting.detection.item() == pytest.approx(math.log(4), abs=1e-3)
    assert weighting.reid.item() == pytest.approx(math.log(0.1), abs=1e-3)


def test_reid_log_variance_rests_where_nothing_was_compared():
    weighting = UncertaintyWeights(detection=0.0, reid=1.5)
    reid = scalar(0.0)
    total = weighting(torch.tensor(2.0), reid)
    assert total.item() == pytest.approx(1.0)  # 0.5 * (2 + 0), without the price of s_reid
    total.backward()
    assert weighting.reid.grad.item() == 0  # not None: DDP waits for parameters without a gradient
    assert weighting.detection.grad.item() == pytest.approx(-0.5)
    assert reid.grad.item() == pytest.approx(0.5 * math.exp(-1.5))


def test_joint_loss_weighs_its_terms_and_tells_the_weights():
    raw, batch = maps(), batch_with_pairs()
    _, fixed = JDELoss(1, STRIDES)(raw, batch)
    loss = JDELoss(1, STRIDES, weighting=UncertaintyWeights(detection=0.5, reid=-2.0))
    total, items = loss(raw, batch)
    detection = sum(fixed[name].item() for name in ("box_loss", "cls_loss", "dfl_loss"))
    reid = fixed["reid_loss"].item()
    assert reid > 0
    expected = 0.5 * (math.exp(-0.5) * detection + 0.5 + math.exp(2) * reid - 2)
    assert total.item() == pytest.approx(4 * expected, rel=1e-5)  # times the four images
    learned = ["detection_weight", "reid_weight"]
    assert list(items) == [*fixed, *learned]
    assert {name: items[name] for name in fixed} == fixed
    assert [items[name].item() for name in learned] == pytest.approx([0.5 * math.exp(-0.5), 0.5 * math.exp(2)])
    total.backward()
    assert loss.weighting.reid.grad.item() == pytest.approx(4 * 0.5 * (1 - math.exp(2) * reid), rel=1e-4)


@pytest.mark.parametrize("reason", ["no identities", "nothing mined", "switched off"])
def test_joint_loss_without_pairs(reason):
    raw, batch = maps(), batch_with_pairs()
    if reason == "no identities":
        batch["identities"] = torch.full_like(batch["identities"], -1)
    reid_loss = ReIDLoss(miner=NothingMined()) if reason == "nothing mined" else None
    gain = 0.0 if reason == "switched off" else 1.0
    loss = JDELoss(1, STRIDES, reid=gain, reid_loss=reid_loss, weighting=UncertaintyWeights())
    loss(raw, batch)[0].backward()
    assert loss.weighting.reid.grad.item() == 0
    assert loss.weighting.detection.grad.item() != 0
    assert (raw.embeddings.grad == 0).all()


class NothingMined(torch.nn.Module):
    def forward(self, embeddings, identities):
        return tuple(torch.zeros(0, dtype=torch.int64) for _ in range(3))


def test_state_is_restored():
    weighting = UncertaintyWeights(detection=0.25, reid=-3.0)
    other = UncertaintyWeights()
    other.load_state_dict(weighting.state_dict())
    assert (other.detection.item(), other.reid.item()) == (0.25, -3.0)
