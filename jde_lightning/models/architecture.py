"""The layers of YOLO11 as a table of our own, in the form that ultralytics' model builder reads.

The table states the published architecture (backbone to stride 32, a top-down and bottom-up neck, three outputs). It
is handed over as a dict, never as a file name: a file of that name in the working directory would win.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

from jde_lightning.errors import InputError

Scale = Literal["n", "s", "m", "l", "x"]
SCALES: tuple[str, ...] = get_args(Scale)

HEAD_LAYER = 23
"""Index of the head in the network, as it appears in the names of the weights (``model.23.*``)."""

_PREVIOUS = -1


class Scaling(NamedTuple):
    """Compound scaling of one model size.

    Attributes:
        depth: factor of the number of repeated blocks.
        width: factor of the number of channels.
        max_channels: limit of the channels before they are scaled.
    """

    depth: float
    width: float
    max_channels: int


SCALINGS: dict[str, Scaling] = {
    "n": Scaling(0.50, 0.25, 1024),
    "s": Scaling(0.50, 0.50, 1024),
    "m": Scaling(0.50, 1.00, 512),
    "l": Scaling(1.00, 1.00, 512),
    "x": Scaling(1.00, 1.50, 512),
}


def _layer(module: str, *args: Any, source: int | list[int] = _PREVIOUS, repeats: int = 1) -> list[Any]:
    """One row of the table: where the input comes from, how often the block repeats, its class and arguments."""
    return [source, repeats, module, list(args)]


def _down(channels: int) -> list[Any]:
    """Halve the resolution with a 3x3 convolution."""
    return _layer("Conv", channels, 3, 2)


def _up() -> list[Any]:
    """Double the resolution."""
    return _layer("nn.Upsample", None, 2, "nearest")


def _join(layer: int) -> list[Any]:
    """Concatenate the previous output with that of an earlier layer."""
    return _layer("Concat", 1, source=[_PREVIOUS, layer])


def _blocks(*args: Any) -> list[Any]:
    """Two C3k2 blocks (before depth scaling)."""
    return _layer("C3k2", *args, repeats=2)


def yolo11(scale: str, num_classes: int) -> dict[str, Any]:
    """Describe YOLO11 as ultralytics' model builder expects it.

    Args:
        scale: one of :data:`SCALES`.
        num_classes: number of classes of the head.

    Returns:
        A new dict with the keys ``nc, scale, scales, backbone, head``.

    Raises:
        InputError: if the scale is unknown.
    """
    if scale not in SCALINGS:
        msg = f"unknown YOLO11 scale {scale!r}; choose one of {', '.join(SCALES)}"
        raise InputError(msg)
    backbone = [
        _down(64),  # 0, stride 2
        _down(128),  # 1, stride 4
        _blocks(256, False, 0.25),
        _down(256),  # 3, stride 8
        _blocks(512, False, 0.25),
        _down(512),  # 5, stride 16
        _blocks(512, True),
        _down(1024),  # 7, stride 32
        _blocks(1024, True),
        _layer("SPPF", 1024, 5),
        _layer("C2PSA", 1024, repeats=2),  # 10
    ]
    neck = [
        _up(),
        _join(6),
        _blocks(512, False),  # 13
        _up(),
        _join(4),
        _blocks(256, False),  # 16, output of stride 8
        _down(256),
        _join(13),
        _blocks(512, False),  # 19, output of stride 16
        _down(512),
        _join(10),
        _blocks(1024, True),  # 22, output of stride 32
    ]
    head = [_layer("Detect", "nc", source=[16, 19, 22])]
    scales = {name: list(scaling) for name, scaling in SCALINGS.items()}
    return {"nc": num_classes, "scale": scale, "scales": scales, "backbone": backbone, "head": neck + head}
