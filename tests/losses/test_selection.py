import pytest
import torch

from jde_lightning.losses.selection import most_confident, most_confident_of_each


def test_most_confident_of_equal_ones_the_first():
    confidences = torch.tensor([0.5, 0.9, 0.5, 0.9, 0.1])
    assert most_confident(confidences, 1.0).tolist() == [1, 3, 0, 2, 4]
    assert most_confident(confidences, 0.41).tolist() == [1, 3, 0]
    assert most_confident(confidences[:0], 0.5).tolist() == []


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_of_each_group_equals_a_loop(limit):
    g = torch.Generator().manual_seed(0)
    groups = torch.randint(7, (60,), generator=g)
    confidences = torch.randint(5, (60,), generator=g) / 4  # with many equal ones
    expected = torch.zeros(60, dtype=torch.bool)
    for group in range(7):
        members = [i for i in range(60) if groups[i] == group]
        for i in sorted(members, key=lambda i: (-confidences[i].item(), i))[:limit]:
            expected[i] = True
    assert torch.equal(most_confident_of_each(groups, confidences, limit), expected)


def test_of_each_of_no_rows():
    assert most_confident_of_each(torch.zeros(0, dtype=torch.int64), torch.zeros(0), 3).shape == (0,)
