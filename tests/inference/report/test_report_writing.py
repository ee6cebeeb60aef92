"""The report as a page: every section, nothing from outside, the numbers of the evaluation, and every kind of lack."""

import numpy as np
import pytest
from report_runs import FRAMES, METRICS, SEQUENCES, Page, keep_detections, write_frames, write_run
from sklearn.metrics import silhouette_score

from jde_lightning.inference.report.described import describe_observed
from jde_lightning.inference.report.run import open_run
from jde_lightning.inference.report.tracking import track_observed
from jde_lightning.inference.report.validation_pass import observe
from jde_lightning.inference.report.writing import ReportOptions, write_report
from jde_lightning.metrics.detection import DetectionAP
from jde_lightning.metrics.folders import evaluate_folder
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.metrics.verification import verification_metrics
from jde_lightning.tracking import YOLO11JDETracker

SECTIONS = ["curves", "detection", "tracking", "embeddings", "distances", "hardest", "switches", "data"]
SECTIONS += ["configuration", "versions"]
NUMBERS = range(1, FRAMES + 1)


def written(run, indices, folder, **options):
    """Write the report of a folder and take it apart."""
    opened = open_run(run)
    write_report(folder / "report.html", opened, indices, ReportOptions(**options))
    page = Page(folder / "report.html")
    assert list(page.sections) == SECTIONS
    outside = [address for address in page.addresses if not address.strip("\"'").startswith(("#", "data:"))]
    assert outside == []
    assert len(page.ids) == len(set(page.ids)), "an id occurs twice"
    return page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with detections, and its page."""
    folder = tmp_path_factory.mktemp("report")
    index = write_frames(folder / "data")
    run = write_run(folder / "runs" / "version_0")
    every, found = keep_detections(run, index)
    return folder, run, index, every, found, written(run, {"val": index}, folder, max_switches=2)


def cells(page, section):
    """The rows of the first table of a section, as text."""
    start = page.source.index(f'<section id="{section}">')
    table = page.source[page.source.index("<table>", start) : page.source.index("</table>", start)]
    rows = [row.split("</td>")[:-1] for row in table.split("<tr")[2:]]
    return [[cell.split("<td>")[-1].replace("<b>", "").replace("</b>", "") for cell in row] for row in rows]


def test_all_figures_are_there(made):
    page = made[5]
    titles = [chart["layout"]["xaxis"]["title"].get("text") for chart in page.charts.values()]
    assert len(page.charts) == 12
    for title in ("epoch", "recall (%)", "HOTA (%)", "cosine distance", "time between the two boxes"):
        assert title in titles
    assert page.source.count("plotly.js v") == 1, "the library is to be there once"


def test_scores_equal_those_of_evaluate(made, tmp_path):
    _, run, index, every, found, page = made
    for name, frames in every.items():
        tracker = YOLO11JDETracker(frame_rate=10)
        tracks = [tracker.update(detections) for detections in found[name]]
        write_results(tmp_path / "results" / f"{name}.txt", [frame.frame for frame in frames], tracks)
        folder = tmp_path / "gt" / name / "gt"
        folder.mkdir(parents=True)
        rows = (
            f"{frame.frame},{i},{x1 + 1},{y1 + 1},{x2 - x1},{y2 - y1},1,1,1\n"
            for frame in frames
            for i, (x1, y1, x2, y2) in zip(frame.identities.tolist(), frame.boxes.tolist(), strict=True)
        )
        (folder / "gt.txt").write_text("".join(rows))
        (folder.parent / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={FRAMES}\n")
    expected = evaluate_folder(tmp_path / "gt", tmp_path / "results", "mot17")

    opened = open_run(run)
    tracked = track_observed(opened, observe(opened, index))
    assert tracked.with_appearance == pytest.approx(expected["combined"], abs=1e-9)
    for sequence in tracked.sequences:
        assert sequence.with_appearance == pytest.approx(expected["sequences"][sequence.name], abs=1e-9)
        assert len(sequence.switches) == expected["sequences"][sequence.name]["IDSW"]
    assert 0.3 < expected["combined"]["HOTA"] < 0.95
    shown = {row[0]: row for row in cells(page, "tracking")}
    assert set(shown) == {*every, "all together"}
    for name, scores in {**expected["sequences"], "all together": expected["combined"]}.items():
        assert [shown[name][k] for k in (3, 7, 9, 10, 12)] == [
            *(f"{100 * scores[key]:.1f}" for key in ("HOTA", "AssA", "MOTA", "IDF1")),
            str(scores["IDSW"]),
        ]


def test_motion_only_is_the_tracker_without_appearance(made):
    _, run, index, _, found, _ = made
    opened = open_run(run)
    tracked = track_observed(opened, observe(opened, index))
    for sequence in tracked.sequences:
        tracker = YOLO11JDETracker(frame_rate=10, appearance=False)
        ids = {int(i) for detections in found[sequence.name] for i in tracker.update(detections).ids}
        assert len(ids) > 1
    assert tracked.motion_only != tracked.with_appearance
    assert f"{100 * tracked.motion_only['HOTA']:.2f} %" in made[5].sections["tracking"]


def test_embedding_values_are_those_of_the_references(made):
    _, run, index, _, _, page = made
    opened = open_run(run)
    described = describe_observed(opened, observe(opened, index))
    pairs = {(int(g), int(i)) for g, i in zip(described.group_of, described.annotated_ids, strict=True)}
    assert len(np.unique(described.identities)) == len(pairs) == 12
    # all boxes but the stray one of each frame show somebody, and lie within a pixel or two of the annotation
    assert len(described) == sum(len(detections) - 1 for part in made[4].values() for detections in part)
    assert described.times.max() == pytest.approx(FRAMES / 10)
    expected = silhouette_score(described.embeddings, described.identities, metric="cosine")
    assert f"Mean over all detections {expected:.3f}" in page.sections["distances"]
    values = verification_metrics(described.embeddings, described.identities)
    for name in ("tpr_at_fpr_1e-2", "tpr_at_fpr_1e-3"):
        assert f"{100 * values[name]:.1f} %" in page.sections["distances"]


def test_average_precision_is_that_of_the_metric(made):
    _, _, _, every, found, page = made
    metric = DetectionAP()
    for name, frames in every.items():
        metric.update(frames, found[name])
    values = metric.compute()
    assert f"{100 * values['map50_95']:.2f} %" in page.sections["detection"]
    curve = metric.precision_recall()
    assert curve[0.5].mean() == pytest.approx(values["map50"], abs=1e-6)  # torchmetrics keeps float32
    assert f"area {100 * values['map50']:.1f} %" in next(
        trace["name"]
        for chart in page.charts.values()
        for trace in chart["data"]
        if "IoU 0.5 (" in trace.get("name", "")
    )


def test_curves_are_those_of_the_table(made):
    charts = (chart for chart in made[5].charts.values() if chart["layout"]["xaxis"]["title"].get("text") == "epoch")
    named = {trace["name"]: trace for chart in charts for trace in chart["data"]}
    assert decoded(named["with appearance"]["y"]) == [25, 37.5]
    assert decoded(named["motion only"]["y"]) == [20, 30]
    assert decoded(named["retrieval mAP"]["y"]) == [50, 62.5]
    assert decoded(named["retrieval mAP"]["x"]) == [0, 1]
    assert decoded(named["box"]["x"]) == [0.5, 1, 2]
    assert decoded(named["box"]["y"]) == [2.5, 2.25, 1.5]


def decoded(values):
    """Numbers of a figure, which Plotly writes as base64."""
    if isinstance(values, dict):
        import base64

        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return list(values)


def test_map_has_a_thumbnail_for_every_point(made):
    page = made[5]
    facts = page.data["map-facts"]
    points = len(decoded(page.charts["map"]["data"][0]["x"]))
    assert points == len(facts["captions"]) == len(facts["identities"]) > 100
    expected = {f"id {i}, {name}, frame {n}" for name, p in SEQUENCES.items() for i in range(1, p + 1) for n in NUMBERS}
    assert set(facts["captions"]) < expected
    people = dict(zip(facts["captions"], facts["identities"], strict=True))
    assert len({(who.split(", frame")[0], number) for who, number in people.items()}) == 12
    assert len(page.charts["map"]["layout"]["updatemenus"][0]["buttons"]) == 2


def test_switches_are_drawn_up_to_the_limit_and_all_listed(made):
    _, run, index, _, _, page = made
    opened = open_run(run)
    tracked = track_observed(opened, observe(opened, index))
    total = tracked.with_appearance["IDSW"]
    assert total > 2
    assert page.source.count("<article") == 2
    assert f"2 of {total} switches are drawn" in page.sections["switches"]
    assert "Deciding term." in page.sections["switches"]


def with_identities(index, function):
    """The index with other identities."""
    frames = [index.frame(k) for k in range(len(index))]
    for frame in frames:
        frame.identities = function(frame.identities)
    return type(index).from_frames(frames)


LACKS = {
    # name: what is changed, and a sentence that the page must have, in which section
    "no identities": ("tracking", "No validation sequence has identities"),
    "one identity": ("distances", "All embeddings have the same identity"),
    "some identities": ("tracking", "has boxes without identity"),
    "NaN": ("embeddings", "are not finite or zero, and are left out"),
    "all NaN": ("embeddings", "There are no embeddings to show"),
    "no embeddings": ("distances", "no trained appearance branch"),
    "nothing found": ("embeddings", "There are no embeddings to show"),
    "two boxes": ("embeddings", "points are too few for tsne"),
    "no images": ("switches", "No images of this sequence were found"),
}


@pytest.mark.parametrize("lack", LACKS)
def test_lack_of(lack, tmp_path):
    sequences = {"walk": 1} if lack == "one identity" else None
    index = write_frames(tmp_path / "data", sequences, identities=lack != "no identities")
    if lack == "some identities":
        index = with_identities(index, lambda ids: np.where(ids == 1, -1, ids))
    run = write_run(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        change = {
            "NaN": lambda d: setattr_row(d, 0, np.nan),
            "all NaN": lambda d: setattr_row(d, slice(None), np.nan),
            "no embeddings": lambda d: setattr(d, "embeddings", None),
            "nothing found": lambda d: d.__init__(*(np.zeros(0),) * 2, None, np.zeros((0, 16))),
        }.get(lack)
        if change or lack == "two boxes":
            import report_runs

            original = report_runs.detect

            def changed(frames, **options):
                found = original(frames, **options)
                for number, detections in enumerate(found):
                    if lack == "two boxes":
                        found[number] = detections[: 1 if number < 2 else 0]
                    elif change and (lack != "NaN" or number == 3):
                        change(detections)
                return found

            patch.setattr(report_runs, "detect", changed)
        keep_detections(run, index)
    if lack == "no images":
        for path in (tmp_path / "data").rglob("*.jpg"):
            path.unlink()
    method = "tsne" if lack == "two boxes" else "pca"  # the others are drawn by the quickest
    page = written(run, {"val": index}, tmp_path, max_switches=1, projections=(method,))
    section, sentence = LACKS[lack]
    assert sentence in page.sections[section]
    assert "Losses of training" in page.sections["curves"]
    if lack == "no images":
        assert "crops cannot be read: they are grey" in page.text


def setattr_row(detections, row, value):
    detections.embeddings[row] = value


def test_without_weights_and_detections_the_rest_is_there(tmp_path):
    index = write_frames(tmp_path / "data")
    page = written(write_run(tmp_path / "run"), {"val": index}, tmp_path)
    assert "There is no checkpoint" in page.text
    for section in ("tracking", "embeddings", "distances", "hardest", "switches"):
        assert "There are no detections" in page.sections[section]
    assert "walkers" in page.sections["data"]
    assert len(page.charts) == 5
    assert "37.5" in page.text, "the last logged HOTA is told"


def test_without_data_the_reason_is_told(tmp_path):
    page = written(write_run(tmp_path / "run"), {"train": "/gone: no such folder", "val": "/gone: no such"}, tmp_path)
    assert "The validation data cannot be read: /gone: no such." in page.text
    assert "/gone: no such folder" in page.sections["data"]
    assert "max_epochs: 2" in page.sections["configuration"]
    assert "torch of this report" in page.sections["versions"]


@pytest.mark.parametrize("left", ["config.yaml", "metrics.csv", "neither"])
def test_of_an_empty_run_the_page_says_what_is_missing(left, tmp_path):
    run = write_run(
        tmp_path / "run", METRICS if left == "metrics.csv" else None, "data: 3\n" if left == "config.yaml" else None
    )
    (run / "checkpoints").mkdir()
    page = written(run, {}, tmp_path)
    assert ("metrics.csv is missing" in page.sections["curves"]) == (left != "metrics.csv")
    assert ("config.yaml is missing" in page.sections["configuration"]) == (left != "config.yaml")


def test_text_of_the_user_cannot_become_markup(tmp_path):
    evil = "</script><script>alert(1)</script><img src=http://example.invalid/x.png>"
    index = write_frames(tmp_path / "data", {"walk": 2})
    frames = [index.frame(k) for k in range(len(index))]
    for frame in frames:
        frame.sequence, frame.dataset = evil, evil
    index = type(index).from_frames(frames)
    run = write_run(tmp_path / "run", config=f"# {evil}\ntrainer: {{max_epochs: 2}}\n")
    keep_detections(run, index)
    page = written(run, {"val": index}, tmp_path, projections=("pca",))
    assert evil in page.text
    assert "alert(1)</script>" not in page.source
