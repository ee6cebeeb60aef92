"""The page of the identity-switch report: one HTML file that needs no network, for wide screens and phones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from jde_lightning.metrics.switches import KINDS, IdentitySwitch
from jde_lightning.plots.pages import document, figures, table
from jde_lightning.plots.svg import hex_color
from jde_lightning.plots.switches import NEW_TRACK, OLD_TRACK, PERSON

_SHORT_LIST = 30
"""Up to so many switches the list is open from the start."""

STYLE = f"""
:root {{ --person: {hex_color(PERSON)}; --old: {hex_color(OLD_TRACK)}; --new: {hex_color(NEW_TRACK)}; }}
.key span {{ white-space: nowrap; margin-right: 12px; }}
.key i {{ display: inline-block; width: 1em; height: 1em; margin-right: 4px; border: 3px solid; vertical-align: -2px; }}
tr.deciding td {{ background: #fff3d6; font-weight: 600; }}
.badge {{ display: inline-block; padding: 0 8px; border-radius: 10px; background: var(--soft); font-size: 0.85rem; }}
.old {{ border-bottom: 3px solid var(--old); }} .new {{ border-bottom: 3px solid var(--new); }}
.person {{ border-bottom: 3px solid var(--person); }}
article img, article svg {{ display: block; width: 100%; height: auto; border-radius: 4px; }}
.views {{ display: grid; grid-template-columns: 1fr 1fr 0.88fr; gap: 12px; align-items: start; margin: 12px 0; }}
.whole {{ display: grid; gap: 6px; }}
.strip {{ display: flex; gap: 8px; overflow-x: auto; padding-bottom: 6px; }}
.strip figure {{ flex: 1 0 112px; }}
.charts {{ display: grid; grid-template-columns: 1fr 1fr; gap: 8px 28px; margin-top: 12px; align-items: start; }}
article svg text {{ fill: var(--quiet); }} article svg text.on {{ fill: #fff; font-weight: 600; }}
article svg .grid {{ stroke: #e7eaee; }}
article svg .mark {{ stroke: #b3261e; stroke-width: 1.2; stroke-dasharray: 4 3; }}
@media (max-width: 760px) {{
  .views {{ grid-template-columns: 1fr; }}
  .whole {{ grid-template-columns: 1fr 1fr; gap: 12px; }}
  .charts {{ grid-template-columns: 1fr; }}
}}
"""
"""What the parts about switches need beside the look of every page."""

KEY = (
    '<p class="key"><span><i style="border-color: var(--person); border-style: dashed"></i>person (ground truth)</span>'
    '<span><i style="border-color: var(--old)"></i>old track</span>'
    '<span><i style="border-color: var(--new)"></i>new track</span>'
    '<span><i style="border-color: #969696"></i>other tracks</span></p>'
)


@dataclass
class SwitchView:
    """All that the page shows about one switch.

    Attributes:
        number: from 1; the anchor of its part of the page.
        sequence: name of the sequence.
        class_name: name of the class, empty if there is one class only.
        switch: the switch.
        close: path relative to the page, and caption, of the close-ups before and after.
        whole: the same of the whole frames before and after.
        strip: the same of the frames around the switch.
        charts: ``<svg>`` elements.
        sentence: what decided, empty if nobody knows.
        header: column names of the table of considered pairs.
        rows: its cells, and whether the row decided.
        notes: what is missing and why.
    """

    number: int
    sequence: str
    class_name: str
    switch: IdentitySwitch
    close: list[tuple[str, str]] = field(default_factory=list)
    whole: list[tuple[str, str]] = field(default_factory=list)
    strip: list[tuple[str, str]] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    sentence: str = ""
    header: Sequence[str] = ()
    rows: list[tuple[list[str], bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def page(title: str, counts: dict[str, int], views: Sequence[SwitchView], drawn: int, notes: Sequence[str]) -> str:
    """Write the page.

    Args:
        title: what was evaluated.
        counts: number of switches by name of the sequence, also where there are none.
        views: all switches.
        drawn: how many of them, from the first, have pictures and a part of their own.
        notes: remarks about the whole report.

    Returns:
        The text of an HTML file.
    """
    total = len(views)
    body = [
        f"<h1>{total} identity switch{'' if total == 1 else 'es'}</h1>",
        f'<p class="quiet">{escape(title)}</p>',
        KEY,
        *(f'<p class="quiet">{escape(note)}</p>' for note in notes),
        kinds_table(counts, views),
        list_of_switches(views, range(1, drawn + 1)) if views else "<p>No person ever changed its track.</p>",
        *(article(view) for view in views[:drawn]),
    ]
    return document(f"Identity switches: {title}", body, STYLE)


def kinds_table(counts: dict[str, int], views: Sequence[SwitchView]) -> str:
    """Table of the kinds of switches in each sequence; arguments as for :func:`page`."""
    kinds = Counter((view.sequence, view.switch.kind) for view in views)
    rows: list[list[Any]] = [
        [escape(name), *(kinds[name, kind] for kind in KINDS), number] for name, number in counts.items()
    ]
    if len(rows) > 1:
        rows.append(["all", *(sum(row[column] for row in rows) for column in range(1, len(KINDS) + 2))])
    meanings = "; ".join(f"<b>{kind}</b>: {text}" for kind, text in KINDS.items())
    rendered = table(("sequence", *KINDS, "switches"), [(row, "") for row in rows])
    return f'{rendered}<p class="quiet">{meanings}.</p>'


def list_of_switches(views: Sequence[SwitchView], drawn: Container[int]) -> str:
    """All switches as a table, linked to their parts of the page.

    Args:
        views: all switches.
        drawn: the numbers of those that have a part of their own.
    """
    rows = []
    for view in views:
        switch = view.switch
        number = f'<a href="#s{view.number}">{view.number}</a>' if view.number in drawn else view.number
        cells = (switch.frame, switch.frame - switch.frame_before, switch.gt_id, switch.old_track, switch.new_track)
        rows.append(([number, _where(view), *cells, switch.kind], ""))
    head = ("#", "sequence", "frame", "after frames", "person", "old track", "new track", "kind")
    state = " open" if len(views) <= _SHORT_LIST else ""
    return f"<details{state}><summary>all switches</summary>{table(head, rows)}</details>"


def _where(view: SwitchView) -> str:
    """Sequence and class of a switch."""
    return escape(f"{view.sequence}, {view.class_name}" if view.class_name else view.sequence)


def article(view: SwitchView, heading: str = "h2") -> str:
    """The part of one switch.

    Args:
        view: of the switch.
        heading: element of its title.
    """
    switch = view.switch
    title = (
        f'{view.number}. {_where(view)}, frame {switch.frame}: <span class="person">person {switch.gt_id}</span>, '
        f'<span class="old">track {switch.old_track}</span> → <span class="new">track {switch.new_track}</span>'
    )
    parts = [
        f'<article id="s{view.number}"><{heading}>{title} <span class="badge">{switch.kind}</span></{heading}>',
        f"<p>{escape(story(switch))}</p>",
    ]
    if view.sentence:
        parts.append(f"<p><b>Deciding term.</b> {escape(view.sentence)}</p>")
    parts += [f'<p class="quiet">{escape(note)}</p>' for note in view.notes]
    parts.append(f'<div class="views">{figures(view.close)}<div class="whole">{figures(view.whole)}</div></div>')
    parts.append(f'<div class="strip">{figures(view.strip)}</div>')
    if view.charts:
        parts.append(f'<div class="charts">{"".join(f"<div>{chart}</div>" for chart in view.charts)}</div>')
    if view.rows:
        rows = [(list(map(escape, cells)), "deciding" if deciding else "") for cells, deciding in view.rows]
        parts.append(table(view.header, rows))
    return "\n".join([*parts, "</article>"])


def story(switch: IdentitySwitch) -> str:
    """Tell a switch in words."""
    gap = switch.frame - switch.frame_before
    unseen = "the very next frame" if gap == 1 else f"{gap} frames later"
    parts = [
        f"Track {switch.old_track} followed person {switch.gt_id} until frame {switch.frame_before}; {unseen}, "
        f"in frame {switch.frame}, it is track {switch.new_track}: {KINDS[switch.kind]}."
    ]
    if switch.new_comes_from is None:
        parts.append(f"Track {switch.new_track} began in frame {switch.new_first_frame}.")
    else:
        whom, frame = switch.new_comes_from
        person = "this person" if whom == switch.gt_id else f"person {whom}"
        parts.append(f"Track {switch.new_track} had followed {person} until frame {frame}.")
    if switch.old_goes_to is not None:
        whom, frame = switch.old_goes_to
        person = "this person again" if whom == switch.gt_id else f"person {whom}"
        parts.append(f"Track {switch.old_track} follows {person} from frame {frame} on.")
    elif switch.old_last_frame > switch.frame_before:
        parts.append(f"Track {switch.old_track} goes on without a person until frame {switch.old_last_frame}.")
    else:
        parts.append(f"Track {switch.old_track} never comes back.")
    return " ".join(parts)
