"""A map of embeddings for the browser: crops on hover, nearest neighbours on a click.

It is a piece of HTML that needs no server: it works wherever HTML with scripts is shown, such as in Jupyter, in VS
Code, in a saved notebook or in a report.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from itertools import count
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.sprites import sprite_sheet

_TILE = 80
"""Side of a crop in the sheet, in pixels."""
_NUMBERS = count(1)

_STYLE = """
.jde-map { display: flex; flex-wrap: wrap; gap: 12px; font: 14px/1.45 system-ui, sans-serif; }
.jde-map .plot { flex: 3 1 420px; min-width: 0; height: 560px; }
.jde-map .side { flex: 1 1 260px; min-width: 240px; order: 2; }
.jde-map .crop { background-repeat: no-repeat; background-color: #fff; display: inline-block; }
.jde-map .near { display: inline-block; margin: 0 6px 6px 0; text-align: center; font-size: 12px; }
.jde-map .near .crop { border: 3px solid #bbb; }
.jde-map .near.same .crop { border-color: #28b450; }
.jde-map .near.other .crop { border-color: #e62828; }
.jde-map .hint { opacity: 0.65; }
"""

_SCRIPT = """
(function () {
  const root = document.getElementById("__ID__"), data = __DATA__, plot = root.querySelector(".js-plotly-plot");
  const shown = root.querySelector(".shown"), nearest = root.querySelector(".nearest");
  function crop(row, size) {
    const box = document.createElement("span"), scale = size / data.tile;
    box.className = "crop";
    box.style.width = box.style.height = size + "px";
    box.style.backgroundImage = "url(" + data.sheet + ")";
    box.style.backgroundSize = data.side * size + "px";
    box.style.backgroundPosition =
      -(row % data.side) * data.tile * scale + "px " + -Math.floor(row / data.side) * data.tile * scale + "px";
    return box;
  }
  function line(text) {
    const element = document.createElement("div");
    element.textContent = text;
    return element;
  }
  function show(row) { shown.replaceChildren(crop(row, 2 * data.tile), line(data.texts[row])); }
  function showNearest(row) {
    nearest.replaceChildren(line("nearest to " + data.texts[row]));
    data.neighbours[row].forEach(function (other, place) {
      const box = document.createElement("span"), known = data.identities[row] >= 0 && data.identities[other] >= 0;
      box.className = "near" + (known ? data.identities[row] === data.identities[other] ? " same" : " other" : "");
      box.title = data.texts[other];
      box.append(crop(other, data.tile), line(data.distances[row][place].toFixed(2)));
      nearest.append(box);
    });
  }
  plot.on("plotly_hover", function (event) { show(event.points[0].customdata); });
  plot.on("plotly_click", function (event) {
    show(event.points[0].customdata);
    if (data.neighbours) showNearest(event.points[0].customdata);
  });
})();
"""


def interactive_embedding_map(
    points: npt.NDArray[Any],
    crops: Sequence[Picture | None],
    texts: Sequence[str],
    identities: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int64] | None = None,
    distances: npt.NDArray[Any] | None = None,
    with_library: bool = True,
) -> str:
    """Build the map. It is meant for up to some 1500 points; sample more than that first.

    Args:
        points: ``(N, 2)`` places on the map, finite.
        crops: ``N`` pictures ``(h, w, 3)`` uint8 BGR, ``None`` where there is none.
        texts: ``N`` lines that say what a point is.
        identities: ``(N,)`` which points have a colour, and which neighbours are right; -1 for nobody known.
        neighbours: ``(N, K)`` rows of the nearest points, nearest first, shown when a point is clicked.
        distances: ``(N, K)`` to these neighbours.
        with_library: put Plotly's program into the piece, which makes it 5 MB larger; needed once in a page.

    Returns:
        HTML of one element with its style and scripts. Nothing is loaded from a network.

    Raises:
        ValueError: if the lengths differ.
    """
    from jde_lightning.plots.interactive import embedding_map  # Plotly only where it is used

    points, identities = np.asarray(points, float), np.asarray(identities)
    if not points.shape[:1] == identities.shape == (len(crops),) == (len(texts),):
        msg = (
            "one point, crop, text and identity each is needed, got "
            f"{len(points)}, {len(crops)}, {len(texts)} and {len(identities)}"
        )
        raise ValueError(msg)
    if neighbours is not None and (distances is None or np.shape(distances) != np.shape(neighbours)):
        msg = f"neighbours of shape {np.shape(neighbours)} need distances of the same shape"
        raise ValueError(msg)
    number = f"jde-map-{next(_NUMBERS)}"
    sheet, side = _sheet(crops)
    data = {
        "tile": _TILE,
        "side": side,
        "sheet": sheet,
        "texts": list(texts),
        "identities": identities.tolist(),
        "neighbours": None if neighbours is None else np.asarray(neighbours).tolist(),
        "distances": None if distances is None else np.asarray(distances, float).round(4).tolist(),
    }
    # whoever has no identity lies below the others
    order = np.argsort(identities >= 0, kind="stable")
    figure = embedding_map({"map": points[order]}, identities[order])
    figure.update_traces(customdata=order, text=[texts[row] for row in order], hoverinfo="text")
    figure.update_layout(height=None)  # that of the element
    plot = figure.to_html(
        full_html=False, include_plotlyjs=with_library, div_id=f"{number}-plot",
        default_height="100%", default_width="100%", config={"displaylogo": False, "responsive": True},
        post_script=_SCRIPT.replace("__ID__", number).replace("__DATA__", _in_script(data)),
    )  # fmt: skip
    hint = "Hover over a point to see it"
    hint += "." if neighbours is None else "; click it for its nearest neighbours."
    # the side stands before the plot: it must be there when the scripts run, and take its room before the plot does
    return (
        f'<style>{_STYLE}</style><div class="jde-map" id="{number}">'
        f'<div class="side"><div class="shown"><span class="hint">{hint}</span></div><div class="nearest"></div></div>'
        f'<div class="plot">{plot}</div></div>'
    )


def _sheet(crops: Sequence[Picture | None]) -> tuple[str, int]:
    """All crops on white as one JPEG in a data address, and how many are in a row."""
    sheet = sprite_sheet(crops, _TILE)
    opaque = sheet[..., 3:] > 0
    encoded = cv2.imencode(".jpg", np.where(opaque, sheet[..., :3], 255), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode(), sheet.shape[1] // _TILE


def _in_script(data: dict[str, Any]) -> str:
    """JSON that cannot end the script that it stands in."""
    return json.dumps(data).replace("<", "\\u003c")
