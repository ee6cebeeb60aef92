"""Mining over ranks gives the loss and the gradients of one process with all rows."""

import datetime

import pytest
import torch
import torch.distributed as dist

from jde_lightning.losses import ReIDLoss
from jde_lightning.losses.checks import NonFiniteEmbeddingsError

SPLITS = [(13, 7), (20, 0)]
OPTIONS = [
    {"negatives": "any"},
    {"top_confidence": 0.6},
    {"negative_classes": "same"},
    {"negatives": "certain"},
    {"max_per_object": 2, "max_per_image": 4, "top_confidence": 0.9},
]
WORST = len(OPTIONS)  # one more case: a row of rank 0 is not finite


def rows() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(4, (20,), generator=g)
    return {
        "embeddings": torch.randn(20, 5, generator=g),
        "identities": 2**60 + ids,
        "confidences": torch.rand(20, generator=g),
        "source_frames": ids % 2,
        "scopes": torch.where(ids < 3, 0, -1),
        "labels": ids // 2,
        "objects": torch.tensor([0] * 4 + [1] * 3 + [2] * 6 + [3] * 4 + [4] * 3),
        "images": torch.tensor([0] * 7 + [1] * 6 + [2] * 7),  # each on one rank
    }


def weight() -> torch.Tensor:
    return torch.eye(5) + 0.1 * torch.arange(25.0).view(5, 5).sin()


def loss_and_gradient(part: slice, options: dict, gather: bool) -> tuple[torch.Tensor, torch.Tensor]:
    given = {name: column[part] for name, column in rows().items()}
    parameter = weight().requires_grad_()
    value = ReIDLoss(**options, gather=gather)(given.pop("embeddings") @ parameter, **given)
    value.backward()
    return value.detach(), parameter.grad


def message_of_a_bad_row(part: slice) -> str:
    given = {name: column[part] for name, column in rows().items()}
    embeddings = given.pop("embeddings")
    embeddings[given["images"] == 0] = torch.nan
    with pytest.raises(NonFiniteEmbeddingsError) as error:
        ReIDLoss(gather=True)(embeddings, **given)
    return str(error.value)


def work(rank: int, folder: str) -> None:
    timeout = datetime.timedelta(seconds=300)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2, timeout=timeout)
    results = []
    for split in SPLITS:
        part = slice(0, split[0]) if rank == 0 else slice(split[0], 20)
        for options in OPTIONS:
            value, gradient = loss_and_gradient(part, options, gather=True)
            dist.all_reduce(gradient)
            results.append((value, gradient / 2))  # as DDP averages
        results.append(message_of_a_bad_row(part))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=2)
    expected = [loss_and_gradient(slice(None), options, gather=False) for options in OPTIONS]
    assert len({value.item() for value, _ in expected}) == len(OPTIONS)  # every option changes something
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        assert len(results) == len(SPLITS) * (WORST + 1)
        for number, result in enumerate(results):
            if number % (WORST + 1) == WORST:  # both ranks stop, also the one whose own rows are fine
                assert result == "NaN or infinite embeddings in 7 of 20 rows (0, 1, 2, 3, 4, ...)"
                continue
            value, gradient = expected[number % (WORST + 1)]
            assert value > 0
            torch.testing.assert_close(result, (value, gradient))
