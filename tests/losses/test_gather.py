"""Mining over ranks gives the loss and the gradients of one process with all rows."""

import datetime

import pytest
import torch
import torch.distributed as dist

from jde_lightning.losses import ReIDLoss

SPLITS = [(13, 7), (20, 0)]


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(20, 5, generator=g), 2**60 + torch.randint(4, (20,), generator=g), torch.rand(20, generator=g)


def weight() -> torch.Tensor:
    return torch.eye(5) + 0.1 * torch.arange(25.0).view(5, 5).sin()


def loss_and_gradient(part: slice, top_confidence: float, gather: bool) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, identities, confidences = (tensor[part] for tensor in rows())
    parameter = weight().requires_grad_()
    value = ReIDLoss(top_confidence=top_confidence, gather=gather)(inputs @ parameter, identities, confidences)
    value.backward()
    return value.detach(), parameter.grad


def work(rank: int, folder: str) -> None:
    timeout = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2, timeout=timeout)
    results = {}
    for split in SPLITS:
        part = slice(0, split[0]) if rank == 0 else slice(split[0], 20)
        for top_confidence in (1.0, 0.6):
            value, gradient = loss_and_gradient(part, top_confidence, gather=True)
            dist.all_reduce(gradient)
            results[split, top_confidence] = value, gradient / 2  # as DDP averages
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        for (_, top_confidence), (value, gradient) in torch.load(tmp_path / f"{rank}.pt").items():
            expected, expected_gradient = loss_and_gradient(slice(None), top_confidence, gather=False)
            assert expected > 0
            torch.testing.assert_close(value, expected)
            torch.testing.assert_close(gradient, expected_gradient)
