"""One box in several training mosaics, and what they do to its embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.colors import CORRECT, FALSE_POSITIVE, Color, as_rgb, text_color
from jde_lightning.plots.empty import add_note, empty_figure

_TITLE = "One box in several mosaics"


def plot_mosaic_views(
    reference: Picture,
    reference_box: npt.ArrayLike,
    pictures: Sequence[Picture],
    boxes: npt.ArrayLike,
    distances: Sequence[float],
    stranger: float = math.nan,
    note: str = "",
) -> Figure:
    """Show a box in its image and in mosaics, with the distance of each embedding to the one in the plain image.

    Args:
        reference: ``(H, W, 3)`` uint8 BGR, the plain image.
        reference_box: ``(4,)`` xyxy pixels.
        pictures: ``V`` mosaics, ``(S, S, 3)`` uint8 BGR.
        boxes: ``(V, 4)`` xyxy pixels, where each shows the box.
        distances: ``(V,)`` cosine distance of the embedding in each to that in the plain image.
        stranger: distance in the plain image to the most alike other box; a view that is farther away is framed red.
        note: remark to write below, and the reason if there are no views.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there are no views.

    Raises:
        ValueError: if lengths do not fit.
    """
    places = np.asarray(boxes, float).reshape(-1, 4)
    if not len(pictures) == len(places) == len(distances):
        msg = f"a box and a distance per picture are needed, got {len(pictures)}, {len(places)} and {len(distances)}"
        raise ValueError(msg)
    if not len(pictures):
        return empty_figure(_TITLE, note or "no mosaic shows the box")
    columns = min(4, len(pictures) + 1)
    rows = math.ceil((len(pictures) + 1) / columns)
    figure = Figure(figsize=(2.6 * columns, 2.75 * rows + 0.4), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    other = f"nearest other box {stranger:.2f}" if math.isfinite(stranger) else "no other box"
    _show(cells[0], reference, np.asarray(reference_box, float), (0, 0, 0), f"plain image: {other}")
    for axes, picture, box, distance in zip(cells[1:], pictures, places, distances, strict=False):
        color = FALSE_POSITIVE if distance > stranger else CORRECT
        _show(axes, picture, box, color, f"distance {distance:.2f}")
    figure.suptitle(_TITLE, fontsize=11)
    add_note(figure, note)
    return figure


def _show(axes: Axes, picture: Picture, box: npt.NDArray[np.float64], color: Color, text: str) -> None:
    """Show a picture with one box in it."""
    axes.imshow(picture[..., ::-1])
    axes.set_title(text, fontsize=8, pad=3)
    # a light line under a dark one is seen on any ground
    for width, shade in ((4.0, text_color(color)), (2.0, color)):
        axes.plot(box[[0, 2, 2, 0, 0]], box[[1, 1, 3, 3, 1]], color=as_rgb(shade), linewidth=width)
    axes.set_xlim(-0.5, picture.shape[1] - 0.5)
    axes.set_ylim(picture.shape[0] - 0.5, -0.5)
