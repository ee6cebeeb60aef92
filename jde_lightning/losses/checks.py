"""What the Re-ID loss refuses to compute with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import nn

from jde_lightning.errors import InputError

_MOST_COMBINATIONS = 500_000_000  # 17 bytes each were measured, and 12 to 24 seconds for all of them on one core


class NonFiniteEmbeddingsError(ArithmeticError):
    """Embeddings are NaN or infinite: the training has diverged, or the batch cannot be computed with."""


def check_finite(embeddings: torch.Tensor) -> None:
    """Refuse NaN and infinite embeddings; asks the device once.

    Args:
        embeddings: ``(N, D)``.

    Raises:
        NonFiniteEmbeddingsError: naming the rows.
    """
    finite = embeddings.isfinite().all(dim=1)
    if finite.all():
        return
    rows = (~finite).nonzero().flatten().tolist()
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    msg = f"NaN or infinite embeddings in {len(rows)} of {len(finite)} rows ({shown})"
    raise NonFiniteEmbeddingsError(msg)


def check_columns(embeddings: torch.Tensor, identities: torch.Tensor, others: Mapping[str, torch.Tensor]) -> None:
    """Refuse columns of another length than the embeddings, and identities that are no int64.

    Args:
        embeddings: should be ``(N, D)``.
        identities: should be ``(N,)`` int64.
        others: further columns by name; should be ``(N,)``.

    Raises:
        InputError: naming the column.
    """
    for name, column in {"embeddings": embeddings, "identities": identities, **others}.items():
        if not isinstance(column, torch.Tensor):
            msg = f"{name} must be a tensor, got {type(column).__name__}"
            raise InputError(msg)
    if embeddings.ndim != 2:
        msg = f"embeddings must have shape (N, D), got {tuple(embeddings.shape)}"
        raise InputError(msg)
    if identities.dtype != torch.int64:
        msg = f"identities must be int64, which tells any two apart, got {identities.dtype}"
        raise InputError(msg)
    for name, column in {"identities": identities, **others}.items():
        if column.shape != embeddings.shape[:1]:
            msg = f"{name} must have shape ({len(embeddings)},), one per embedding, got {tuple(column.shape)}"
            raise InputError(msg)


def class_count(loss: nn.Module) -> int | None:
    """Return for how many identities a loss holds parameters, ``None`` for losses that compare pairs.

    Args:
        loss: a loss of pytorch-metric-learning. Not all that learn a vector per class keep their number of classes;
            some keep a 0 in its place.
    """
    if count := getattr(loss, "num_classes", None):
        return int(count)
    if isinstance(proxies := getattr(loss, "proxies", None), torch.Tensor):
        return len(proxies)
    if isinstance(weights := getattr(loss, "W", None), torch.Tensor):
        return weights.shape[1]
    return None


def check_classes(identities: torch.Tensor, count: int, loss: nn.Module) -> None:
    """Refuse identities that a loss has no class for.

    Args:
        identities: ``(N,)`` int64, none of them below 0.
        count: the loss's number of classes.
        loss: the loss, to be named.

    Raises:
        InputError: naming the highest identity.
    """
    if len(identities) and (highest := int(identities.max())) >= count:
        msg = (
            f"{type(loss).__name__} has {count} classes, got identity {highest}: "
            "losses that classify need annotated identities (supervision: full in the reader) and num_classes set to "
            "their number, which `jde-lightning data check` tells"
        )
        raise InputError(msg)


def check_confidences(confidences: torch.Tensor) -> None:
    """Refuse confidences that no order can be made of.

    Args:
        confidences: ``(N,)`` should be in 0..1.

    Raises:
        InputError: naming the first row that is not.
    """
    wrong = ~((confidences >= 0) & (confidences <= 1))
    if wrong.any():
        row = int(wrong.nonzero()[0])
        msg = f"confidences must lie in 0..1, got {confidences[row].item()} in row {row}"
        raise InputError(msg)


def check_combinations(loss: nn.Module, identities: torch.Tensor, mined: tuple[torch.Tensor, ...] | None) -> None:
    """Refuse batches for which NTXentLoss (InfoNCE) would fill the memory before it could be stopped.

    It sets each positive pair against every negative pair of the batch, in one matrix.

    Args:
        loss: the loss.
        identities: ``(N,)`` int64.
        mined: what the miner chose; ``None`` is all pairs.

    Raises:
        InputError: saying how many pairs there are and what makes them fewer.
    """
    if not isinstance(loss, NTXentLoss):
        return
    if mined is None:
        counts = torch.unique(identities, return_counts=True)[1]
        same = int((counts * counts).sum())
        positives, negatives = same - len(identities), len(identities) ** 2 - same
    else:
        positives, negatives = len(mined[0]), len(mined[2])
    if positives * negatives > _MOST_COMBINATIONS:
        msg = (
            f"{type(loss).__name__} sets each of {positives:,} positive pairs against each of {negatives:,} negative "
            f"ones, which would take {17e-9 * positives * negatives:,.0f} GB: set max_per_object: 1 in the reid_loss "
            "(one anchor per box), or take SupConLoss, which contrasts the same pairs without that"
        )
        raise InputError(msg)
