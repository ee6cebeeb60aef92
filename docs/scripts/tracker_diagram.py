"""Draw the stages of the two trackers for docs/trackers.md, with the parameters of their presets.

Example:
    python docs/scripts/tracker_diagram.py docs/images/tracker_stages.svg
"""

import argparse
import inspect
from html import escape
from pathlib import Path

from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("output", type=Path, help="the SVG file")
args = parser.parse_args()

WIDTH, BOX, TOP = 900, 230, 60
INK, LINE = "#1f2933", "#7b8794"
FILL = {"detections": "#e3f2fd", "stage": "#e0f2f1", "end": "#fff3e0"}
parts: list[str] = []


def text(x: float, y: float, content: str, size: float = 12, weight: str = "normal", color: str = INK) -> None:
    """One centred line."""
    parts.append(
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{color}" text-anchor="middle">'
        f"{escape(content)}</text>"
    )


def box(x: float, y: float, title: str, lines: list[str], kind: str, width: float = BOX) -> float:
    """A box around its title and lines; returns where it ends."""
    height = 28 + 17 * len(lines)
    parts.append(
        f'<rect x="{x - width / 2}" y="{y}" width="{width}" height="{height}" rx="6" fill="{FILL[kind]}" '
        f'stroke="{LINE}"/>'
    )
    text(x, y + 19, title, 13, "600")
    for number, line in enumerate(lines):
        text(x, y + 37 + 17 * number, line, 11.5)
    return y + height


def arrow(x1: float, y1: float, x2: float, y2: float, label: str = "", side: int = 1) -> None:
    """An arrow, with what goes along it."""
    parts.append(
        f'<path d="M{x1} {y1} C{x1} {(y1 + y2) / 2} {x2} {(y1 + y2) / 2} {x2} {y2 - 6}" fill="none" stroke="{LINE}" '
        'stroke-width="1.5" marker-end="url(#end)"/>'
    )
    if label:
        parts.append(
            f'<text x="{(x1 + x2) / 2 + 8 * side}" y="{(y1 + y2) / 2 + 3}" font-size="11" fill="{LINE}" '
            f'text-anchor="{"start" if side > 0 else "end"}">{escape(label)}</text>'
        )


jde = {name: p.default for name, p in inspect.signature(YOLO11JDETracker).parameters.items()}
fair = {name: p.default for name, p in inspect.signature(FairMOTTracker).parameters.items()}

# --- YOLO11JDETracker, two columns
left, right = 130, 400
text((left + right) / 2, 28, "YOLO11JDETracker", 17, "700")
strong = box(left, TOP, "strong detections", [f"score ≥ track_high_thresh {jde['track_high_thresh']}"], "detections")
weak = box(right, TOP, "weak detections", [f"score ≥ track_low_thresh {jde['track_low_thresh']}"], "detections")
one = box(
    left,
    strong + 50,
    "1  tracked + lost tracklets",
    [
        f"{jde['min_weight']} · D_iou + {jde['appearance_weight']} · D_emb",
        f"< first_match_thresh {jde['first_match_thresh']}",
        "embeddings are learnt",
    ],
    "stage",
)
arrow(left, strong, left, strong + 50)
two = box(
    right,
    one + 50,
    "2  tracked, left over",
    [f"D_iou < second_match_thresh {jde['second_match_thresh']}", "embeddings are not learnt"],
    "stage",
)
arrow(right, weak, right, one + 50)
arrow(left + BOX / 2 - 12, one, right - 40, one + 50)
text(left + BOX / 2 + 36, one + 12, "no match", 11, color=LINE)
three = box(
    left,
    one + 130,
    "3  unconfirmed tracklets",
    [f"D_iou < new_match_thresh {jde['new_match_thresh']}", "no match: removed"],
    "stage",
)
arrow(left, one, left, one + 130, "detections left over", 1)
new = box(left, three + 50, "new tracklets", [f"score ≥ new_track_thresh {jde['new_track_thresh']}"], "end")
arrow(left, three, left, three + 50, "left over", 1)
lost = box(
    right, two + 50, "lost", [f"remembered for track_buffer {jde['track_buffer']}", "frames at 30 a second"], "end"
)
arrow(right, two, right, two + 50, "no match", 1)

# --- FairMOTTracker, one column
x = 740
parts.append(f'<line x1="570" y1="20" x2="570" y2="{new + 10}" stroke="#cbd2d9"/>')
text(x, 28, "FairMOTTracker", 17, "700")
end = box(x, TOP, "detections", [f"score ≥ conf_thresh {fair['conf_thresh']}"], "detections")
for title, lines, kind, label in [
    ("1  tracked + lost tracklets", [f"D_emb < first_match_thresh {fair['first_match_thresh']}"], "stage", ""),
    ("2  tracked, left over", [f"D_iou < second_match_thresh {fair['second_match_thresh']}"], "stage", "left over"),
    ("3  unconfirmed tracklets", [f"D_iou < new_match_thresh {fair['new_match_thresh']}"], "stage", "left over"),
    ("new tracklets", ["every strong detection left over"], "end", "left over"),
]:
    arrow(x, end, x, end + 50, label)
    end = box(x, end + 50, title, lines, kind)

height = max(new, end, lost) + 16
head = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif">'
    "<title>Stages of the two trackers</title>"
    '<defs><marker id="end" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker></defs>'
    f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
)
args.output.write_text("\n".join([head, *parts, "</svg>\n"]), encoding="utf-8")
print(f"{args.output}: {args.output.stat().st_size} bytes")
