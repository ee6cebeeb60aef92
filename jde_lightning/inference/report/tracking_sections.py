"""What tracking makes of the detections: scores with and without appearance, and every identity switch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from itertools import zip_longest

from tqdm import tqdm

from jde_lightning.data.images import decode
from jde_lightning.inference.report.page import Section, gain, lack, percent, quiet
from jde_lightning.inference.report.tracking import Tracked, TrackedSequence
from jde_lightning.inference.switch_page import KEY, SwitchView, article, kinds_table, list_of_switches
from jde_lightning.inference.switch_scene import SwitchScene, fill_view
from jde_lightning.metrics.scores import Scores
from jde_lightning.metrics.switches import IdentitySwitch
from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.chart_sheet import ChartSheet
from jde_lightning.plots.interactive import paired_bars
from jde_lightning.plots.pages import data_uri, table

_HEAD = (
    *("sequence", "frames", "people", "HOTA", "motion", "gain", "DetA", "AssA", "motion"),
    *("MOTA", "IDF1", "motion", "IDSW", "motion", "FP", "FN"),
)
_KEPT_IMAGES = 12
_QUALITY = 72
_MANY_SEQUENCES = 40
"""More bars than that are a table."""


def tracking(tracked: Tracked, sheet: ChartSheet) -> Section:
    """Scores of every sequence with and without appearance."""
    body = [lack(note) for note in tracked.notes]
    if not tracked.sequences:
        return Section("tracking", "Tracking", body)
    both = tracked.with_appearance["HOTA"], tracked.motion_only["HOTA"]
    body.append(
        f"<p>{escape(tracked.tracker)} with the parameters of the configuration, twice on the same detections: HOTA "
        f"is <b>{percent(both[0], 2)} %</b> with appearance and <b>{percent(both[1], 2)} %</b> by motion alone: "
        f"appearance is worth {gain(*both, digits=2)} points here.</p>"
    )
    if len(tracked.sequences) <= _MANY_SEQUENCES:
        names = [sequence.name for sequence in tracked.sequences]
        both_scores, motion_scores = (
            [100 * getattr(sequence, kind)["HOTA"] for sequence in tracked.sequences]
            for kind in ("with_appearance", "motion_only")
        )
        body.append(sheet.add(paired_bars(names, both_scores, motion_scores, "HOTA (%)")))
    rows = [(_row(s.name, s.frames, s.people, s.with_appearance, s.motion_only), "") for s in tracked.sequences]
    if len(tracked.sequences) > 1:
        frames, people = (sum(getattr(s, name) for s in tracked.sequences) for name in ("frames", "people"))
        rows.append((_row("all together", frames, people, tracked.with_appearance, tracked.motion_only), "total"))
    body.append(table(_HEAD, rows))
    body.append(
        '<p class="quiet">Percentages, and counts of switches, false positives and misses, equal to those of '
        "<code>evaluate</code>; <b>motion</b>: the score before it without appearance.</p>"
    )
    return Section("tracking", "Tracking", body)


def switches(tracked: Tracked, limit: int, progress: bool = False) -> Section:
    """The identity switches of the tracker with appearance.

    Args:
        tracked: with the switches.
        limit: most switches with pictures, taken from all sequences in turn; the others are listed.
        progress: show a progress bar on stderr.
    """
    if not tracked.sequences:
        return Section("switches", "Identity switches", [lack("Without identities there are no switches to tell.")])
    chosen = [switch for switch in _in_turn(tracked.sequences) if switch is not None][:limit]
    picked = {id(switch) for _, switch in chosen}
    views, drawn = [], set()
    load = lru_cache(_KEPT_IMAGES)(decode)
    every = [entry for sequence in tracked.sequences for entry in sequence.switches]
    bar = tqdm(total=len(chosen), desc="switches", unit="switch", disable=None if progress else True)
    for number, (scene, switch) in enumerate(every, start=1):
        view = SwitchView(number, scene.sequence, scene.class_name, switch)
        views.append(view)
        if id(switch) in picked:
            fill_view(view, scene, _inline, load)
            drawn.add(number)
            bar.update()
    bar.close()
    counts = {sequence.name: len(sequence.switches) for sequence in tracked.sequences}
    body = [
        "<p>A person who is followed by another track than before. The pictures show who was mistaken for whom, the "
        "charts how alike the tracks looked, the table what the tracker weighed.</p>",
        KEY,
        kinds_table(counts, views),
    ]
    if not views:
        return Section("switches", "Identity switches", [*body, "<p>No person ever changed its track.</p>"])
    if len(drawn) < len(views):
        body.append(quiet(f"{len(drawn)} of {len(views)} switches are drawn, taken from the sequences in turn."))
    body.append(list_of_switches(views, drawn))
    body += [article(view, "h3") for view in views if view.number in drawn]
    return Section("switches", "Identity switches", body)


def _in_turn(sequences: Sequence[TrackedSequence]) -> list[tuple[SwitchScene, IdentitySwitch] | None]:
    """The first switch of every sequence, then the second of every one, and so on; ``None`` where one has no more."""
    return [entry for round_ in zip_longest(*(s.switches for s in sequences)) for entry in round_]


def _row(name: str, frames: int, people: int, with_appearance: Scores, motion_only: Scores) -> list[object]:
    """Cells of one sequence."""

    def both(key: str) -> list[str]:
        one, other = with_appearance[key], motion_only[key]
        return [f"<b>{percent(one)}</b>", percent(other), gain(one, other)]

    return [
        escape(name),
        frames,
        people,
        *both("HOTA"),
        percent(with_appearance["DetA"]),
        *both("AssA")[:2],
        percent(with_appearance["MOTA"]),
        *both("IDF1")[:2],
        f"<b>{with_appearance['IDSW']}</b>",
        motion_only["IDSW"],
        with_appearance["FP"],
        with_appearance["FN"],
    ]


def _inline(name: str, picture: Picture) -> str:
    """Keep a picture inside the page."""
    return data_uri(picture, _QUALITY)
