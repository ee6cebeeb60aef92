"""The identity-switch report: all switches, with pictures, distances and decisions, on one page without network."""

import csv
from dataclasses import dataclass
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from jde_lightning.cli import main
from jde_lightning.errors import InputError
from jde_lightning.inference.diary import DiaryWriter, read_diary
from jde_lightning.inference.switch_evidence import look_curves
from jde_lightning.inference.switch_report import write_switch_report
from jde_lightning.metrics.folders import find_sequences, load_sequence
from jde_lightning.metrics.switches import identity_switches
from jde_lightning.structures import Detections, Tracks

FRAMES = range(1, 21)
NAMES = ["matched", "outbid", "over_limit"]
WIDTH, HEIGHT = 320, 240


@dataclass
class Record:
    stage: np.ndarray
    track_ids: np.ndarray
    detection_indices: np.ndarray
    cosine_distance: np.ndarray
    cost: np.ndarray
    limit: np.ndarray
    decisions: np.ndarray


def box(frame):
    """The person walks to the right, 0-based xyxy."""
    return [20 + 8 * frame, 60, 60 + 8 * frame, 160]


def track_of(frame):
    """Track 3 loses the person after frame 10; from frame 13 on it is track 9."""
    return 3 if frame <= 10 else 9 if frame >= 13 else None


@pytest.fixture
def folder(tmp_path):
    """One sequence with one switch, images, and a result file."""
    sequence = tmp_path / "gt" / "S 1"
    (sequence / "gt").mkdir(parents=True)
    (sequence / "img1").mkdir()
    (tmp_path / "results").mkdir()
    gt, result = [], []
    for frame in FRAMES:
        left, top = box(frame)[:2]
        gt.append(f"{frame},4,{left + 1},{top + 1},40,100,1,1,1\n")
        gt.append(f"{frame},5,11,11,30,40,1,1,1\n")
        if track_of(frame):
            result.append(f"{frame},{track_of(frame)},{left + 1},{top + 1},40,100,0.9,-1,-1,-1\n")
        result.append(f"{frame},1,11,11,30,40,0.9,-1,-1,-1\n")
        image = np.full((HEIGHT, WIDTH, 3), 10 * frame % 256, np.uint8)
        cv2.imwrite(str(sequence / "img1" / f"{frame:06d}.jpg"), image)
    (sequence / "gt" / "gt.txt").write_text("".join(gt))
    (sequence / "seqinfo.ini").write_text(f"[Sequence]\nseqLength=20\nimWidth={WIDTH}\nimHeight={HEIGHT}\n")
    (tmp_path / "results" / "S 1.txt").write_text("".join(result))
    return tmp_path


def write_diary(folder, explained=True, look=(1.0, 0.0)):
    """Detection 0 is the person (unless nobody sees it), the last one the other; track 9 looks as told."""
    writer = DiaryWriter(NAMES)
    for frame in FRAMES:
        track = track_of(frame)
        ids, boxes, looks = [], [], []
        if track:
            ids.append(track)
            boxes.append(box(frame))
            looks.append([1.0, 0.0] if track == 3 else look)
        ids.append(1)
        boxes.append([10, 10, 40, 50])
        looks.append([0.0, 1.0])
        n = len(ids)
        tracks = Tracks(boxes, ids, np.ones(n), np.zeros(n), np.arange(n))
        pairs = {10: [(1, 3, 0, 0.1, 0.3, 0.7, 0)], 11: [(1, 3, 0, 0.9, 0.8, 0.7, 2)]}
        pairs[13] = [(1, 3, 0, 0.25, 0.75, 0.7, 2), (3, 9, 0, np.nan, 0.2, 0.95, 0)]
        columns = np.array(pairs.get(frame, []), float).reshape(-1, 7).T
        integers = (columns[k].astype(int) for k in (0, 1, 2))
        record = Record(*integers, *columns[3:6], columns[6].astype(int)) if explained else None
        writer.add(frame, tracks, Detections(boxes, np.ones(n), None, looks), record)
    writer.write(folder / "results" / "S 1.npz")


class Page(HTMLParser):
    """All addresses, all text, and whether every element is closed."""

    def __init__(self, path):
        super().__init__()
        self.sources, self.words, self.open = [], [], []
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_page_pictures_and_list(folder):
    report = write_switch_report(folder / "out", folder / "gt", folder / "results")
    assert (report.switches, report.drawn) == (1, 1)
    page = Page(report.page)
    assert page.open == []
    assert "1 identity switch " in page.text
    assert "Track 3 followed person 4 until frame 10; 3 frames later, in frame 13, it is track 9" in page.text
    assert "Track 9 began in frame 13. Track 3 never comes back." in page.text
    assert "No track diary lies beside the result file" in page.text
    links = [source for source in page.sources if source.startswith("#")]
    pictures = [source for source in page.sources if not source.startswith("#")]
    assert links == ["#s1"]
    # before and after, close and whole; the strip from five frames before to five after
    assert {f"images/0001-{name}.jpg" for name in ("before-close", "after-close", "before-whole", "after-whole")} < {
        *pictures
    }
    assert {"images/0001-strip-5.jpg", "images/0001-strip-10.jpg", "images/0001-strip-18.jpg"} < {*pictures}
    for name in pictures:
        assert cv2.imread(str(folder / "out" / name)) is not None, name
    rows = list(csv.DictReader((folder / "out" / "switches.csv").open()))
    assert rows == [
        {
            "number": "1",
            "sequence": "S 1",
            "class": "",
            "frame_before": "10",
            "frame": "13",
            "gt_id": "4",
            "old_track": "3",
            "new_track": "9",
            "kind": "restart",
        }
    ]


def test_pictures_show_the_frame_and_its_boxes(folder):
    write_switch_report(folder / "out", folder / "gt", folder / "results")
    picture = cv2.imread(str(folder / "out" / "images" / "0001-before-whole.jpg")).astype(int)
    gain = picture.shape[1] / WIDTH
    assert picture.shape[:2] == (round(HEIGHT * gain), picture.shape[1])
    assert abs(picture[-5:, -5:] - 100).max() < 6  # frame 10 is of that grey
    x1, y1, x2, y2 = (round(v * gain) for v in box(10))
    orange = picture[(y1 + y2) // 2 - 20 : (y1 + y2) // 2 + 20, x2 - 2 : x2 + 3].reshape(-1, 3).mean(0)
    assert orange[2] > orange[0] + 60  # the old track in orange: more red than blue
    picture = cv2.imread(str(folder / "out" / "images" / "0001-after-whole.jpg")).astype(int)
    x2 = round(box(13)[2] * gain)
    blue = picture[(y1 + y2) // 2 - 20 : (y1 + y2) // 2 + 20, x2 - 2 : x2 + 3].reshape(-1, 3).mean(0)
    assert blue[0] > blue[2] + 60


@pytest.mark.parametrize(("look", "distance"), [((1.0, 0.0), 0.0), ((0.6, 0.8), 0.4)])
def test_diary_gives_distances_and_the_deciding_term(folder, look, distance):
    write_diary(folder, look=look)
    report = write_switch_report(folder / "out", folder / "gt", folder / "results")
    page = Page(report.page)
    assert "Deciding term. In frame 13, stage 1, the old track was compared with this detection: " in page.text
    assert "the cost was not below the limit (cosine distance 0.25, cost 0.75, limit 0.7)" in page.text
    assert "frame track detection stage cosine distance cost limit outcome" in page.text
    assert "10 3 0 1 0.1 0.3 0.7 matched 11 3 0 1 0.9 0.8 0.7 over limit 13 3 0 1 0.25" in page.text
    assert '<tr class="deciding"><td>13</td><td>3</td>' in report.page.read_text()
    assert "cosine distance to track 3 as it looked on this person before" in page.text
    (files,) = find_sequences(folder / "gt", folder / "results")
    (switch,), matches = identity_switches(*load_sequence(files))
    curves = look_curves(switch, read_diary(folder / "results" / "S 1.npz"), matches, 5, 15)
    assert curves.old.frames.tolist() == [5, 6, 7, 8, 9, 10]
    np.testing.assert_allclose(curves.old.distances, 0, atol=1e-6)
    assert curves.new.frames.tolist() == [13, 14, 15]
    np.testing.assert_allclose(curves.new.distances, distance, atol=1e-3)
    np.testing.assert_allclose(curves.others.distances, 1, atol=1e-6)


def test_diary_without_explanations(folder):
    write_diary(folder, explained=False)
    page = Page(write_switch_report(folder / "out", folder / "gt", folder / "results").page)
    assert "The tracker did not explain itself: the deciding term is not known." in page.text
    assert "Deciding" not in page.text


def test_diary_of_other_tracks_is_refused(folder):
    write_diary(folder)
    path = folder / "results" / "S 1.txt"
    path.write_text(path.read_text() + "20,77,1,1,5,5,1,-1,-1,-1\n")
    with pytest.raises(
        InputError, match=r"S 1\.npz: a diary of other tracks \(38 boxes\) than S 1\.txt has \(39 boxes"
    ):
        write_switch_report(folder / "out", folder / "gt", folder / "results")


def test_images_from_elsewhere_or_nowhere(folder):
    moved = folder / "elsewhere" / "S 1"
    moved.parent.mkdir()
    (folder / "gt" / "S 1" / "img1").rename(moved)
    page = Page(write_switch_report(folder / "out", folder / "gt", folder / "results").page)
    assert "No images of this sequence were found: boxes are drawn on paper." in page.text
    paper = cv2.imread(str(folder / "out" / "images" / "0001-before-whole.jpg"))
    assert abs(paper[-5:, -5:].astype(int) - 238).max() < 4
    for images in (folder / "elsewhere", moved):
        page = Page(write_switch_report(folder / "out", folder / "gt", folder / "results", images=images).page)
        assert "boxes are drawn on paper" not in page.text
    with pytest.raises(InputError, match="results: no images of S 1, expected S 1/img1/000001.jpg"):
        write_switch_report(folder / "out", folder / "gt", folder / "results", images=folder / "results")


def test_flat_ground_truth_without_sizes(folder):
    (folder / "gt" / "S 1" / "gt" / "gt.txt").rename(folder / "gt" / "S 1.txt")
    report = write_switch_report(folder / "out", folder / "gt", folder / "results")
    assert report.switches == 1
    picture = cv2.imread(str(folder / "out" / "images" / "0001-before-whole.jpg"))
    assert picture.shape[1] / picture.shape[0] == pytest.approx(221 / 161, rel=0.02)  # as far as boxes reach


def test_limit_and_no_switch(folder):
    report = write_switch_report(folder / "out", folder / "gt", folder / "results", limit=0)
    assert (report.switches, report.drawn) == (1, 0)
    assert "The first 0 switches are drawn; all are listed" in Page(report.page).text
    assert not (folder / "out" / "images").exists()
    path = folder / "results" / "S 1.txt"
    path.write_text(path.read_text().replace(",9,", ",3,"))
    report = write_switch_report(folder / "out", folder / "gt", folder / "results")
    assert report.switches == 0
    assert "No person ever changed its track." in Page(report.page).text


def test_classes_are_looked_at_one_by_one(folder):
    for path in (folder / "gt" / "S 1" / "gt" / "gt.txt", folder / "results" / "S 1.txt"):
        lines = [line.split(",") for line in path.read_text().splitlines()]
        person = {"4", "3", "9"}
        lines = [[*line[:7], "2" if line[1] in person else "1", "1"] for line in lines]
        path.write_text("".join(",".join(line) + "\n" for line in lines))
    classes = {"car": 1, "person": 2}
    report = write_switch_report(folder / "out", folder / "gt", folder / "results", "none", classes=classes)
    assert "1. S 1, person, frame 13" in Page(report.page).text
    assert report.switches == 1


def test_command_line(folder, capsys):
    common = ["evaluate", "--gt", str(folder / "gt"), "--results", str(folder / "results")]
    assert main([*common, "--switches", str(folder / "out")]) == 0
    assert f"1 identity switches, 1 of them with pictures: {folder / 'out' / 'index.html'}" in capsys.readouterr().out
    assert main([*common, "--images", str(folder)]) == 2
    assert "--images is for the pictures of --switches DIR, which is missing" in capsys.readouterr().err
    assert main([*common, "--switches", str(folder / "out"), "--max-switches", "-1"]) == 2
    assert "--max-switches must be at least 0, got -1" in capsys.readouterr().err
