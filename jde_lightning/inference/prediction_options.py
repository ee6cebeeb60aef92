"""The options that every predictor has, whatever runs its network."""

from __future__ import annotations

from jde_lightning.errors import UsageError


def check_options(image_size: int, conf: float, iou: float, max_det: int) -> None:
    """Refuse values that would fail deep inside the network, or silently find nothing.

    Raises:
        UsageError: if a value is out of its range.
    """
    if image_size <= 0 or image_size % 32:
        below = max(32, image_size // 32 * 32)
        msg = f"image_size must be a positive multiple of 32, got {image_size}; take {below} or {below + 32}"
        raise UsageError(msg)
    for name, value in (("conf", conf), ("iou", iou)):
        if not 0 <= value <= 1:
            msg = f"{name} must be in 0..1, got {value}"
            raise UsageError(msg)
    if max_det < 1:
        msg = f"max_det must be at least 1, got {max_det}"
        raise UsageError(msg)
