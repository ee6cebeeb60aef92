"""Tables of embeddings: what is written is read back, by both formats and both readers, in little memory."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference import EmbeddingTable, collect_embeddings, read_embeddings
from jde_lightning.inference.annotated_frames import AnnotatedFrame
from jde_lightning.inference.crop_archive import cut_crop
from jde_lightning.structures import Detections, FrameAnnotations, Role

FORMATS = ["npz", "parquet"]


@pytest.fixture(params=FORMATS)
def path(request, tmp_path):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"table.{request.param}"


def frame(boxes, ids, dataset="D", sequence="s", number=1, roles=None, rate=25.0, seed=0):
    n = len(boxes)
    image = cv2.resize(np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8), (64, 48))
    file = Path(f"/images/{sequence}/{number}.jpg")
    roles = np.zeros(n) if roles is None else roles
    ones = np.ones(n)
    annotations = FrameAnnotations(
        file, 64, 48, np.array(boxes, float).reshape(-1, 4), ones * 0, ids, roles, ones, dataset, sequence, number, rate
    )
    return AnnotatedFrame(image, annotations, str(file))


LEFT, RIGHT, THIRD = (2, 2, 20, 40), (30, 4, 50, 44), (50, 2, 63, 30)


def detections(*boxes, seed=0, dim=5):
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(len(boxes), dim))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True) if len(boxes) else 1
    return Detections(np.array(boxes, float).reshape(-1, 4), rng.uniform(size=len(boxes)), np.arange(len(boxes)), looks)


FRAMES = [
    frame([LEFT, RIGHT], [7, 8], number=1),
    frame([LEFT, RIGHT], [8, 7], number=3, seed=1),
    frame([], [], number=4),
    frame([LEFT, RIGHT, THIRD], [7, -1, 9], sequence="t", number=1, roles=[Role.POSITIVE, Role.POSITIVE, Role.IGNORE]),
    frame([LEFT], [7], dataset="E", number=1),
    frame([LEFT], [7], dataset="single", sequence=None, number=0, rate=0.0),
]
FOUND = [
    detections(RIGHT, LEFT, THIRD, seed=1),  # in another order than the annotations, and one of nobody
    detections(np.array(LEFT) + 1, (2, 2, 8, 8), seed=2),  # the second overlaps too little
    detections(LEFT, seed=3),
    detections(LEFT, RIGHT, THIRD, seed=4),
    detections(LEFT, seed=5),
    detections(LEFT, seed=6),
]


def collect(path, **options):
    found = iter(FOUND)
    return collect_embeddings(FRAMES, lambda batch: [next(found) for _ in batch], path, batch_size=4, **options)


def test_every_value_comes_back(path):
    table = collect(path, meta={"who": "me"})
    assert len(table) == 11
    assert table.annotated_ids.tolist() == [8, 7, -1, 8, -1, -1, 7, -1, -1, 7, 7]
    # 7 and 8 of s; 7 of t; 7 of the other dataset's s; 7 of the single images
    assert table.identities.tolist() == [0, 1, -1, 0, -1, -1, 2, -1, -1, 3, 4]
    assert table.overlaps[[0, 1, 2]].tolist() == [1, 1, 0]
    assert table.overlaps[3] == pytest.approx(17 * 37 / (2 * 18 * 38 - 17 * 37))
    assert table.sequences.tolist() == ["s"] * 6 + ["t"] * 3 + ["E/s", ""]
    assert table.frames.tolist() == [1, 1, 1, 3, 3, 4, 1, 1, 1, 1, 0]
    assert table.times == pytest.approx(np.append(table.frames[:-1] / 25, np.nan), nan_ok=True)
    assert table.images[[0, 10]].tolist() == ["/images/s/1.jpg", "/images/None/0.jpg"]
    assert table.embeddings.tolist() == np.concatenate([found.embeddings for found in FOUND]).tolist()
    assert table.boxes.tolist() == np.concatenate([found.boxes for found in FOUND]).tolist()
    assert table.scores.tolist() == np.concatenate([found.scores for found in FOUND]).tolist()
    assert table.labels.tolist() == np.concatenate([found.labels for found in FOUND]).tolist()
    expected = {"who": "me", "rows": 11, "images": 6, "identified": 6, "identities": 5, "embed_dim": 5}
    assert expected.items() <= table.meta.items()
    assert [table.caption(row) for row in (0, 2, 10)] == ["id 8, s, frame 1", "unknown, s, frame 1", "id 7, frame 0"]


def test_crops_belong_to_their_rows(path):
    table = collect(path, crop_size=(16, 32))
    rows = iter(range(len(table)))
    for one, found in zip(FRAMES, FOUND, strict=True):
        for box in found.boxes:
            row = next(rows)
            expected = cut_crop(one.image, box, (16, 32))
            assert table.crop(row).shape == expected.shape
            assert np.abs(table.crop(row).astype(int) - expected).mean() < 10  # JPEG
            others = [other for other in range(len(table)) if table.crop(other).shape == expected.shape]
            errors = [np.abs(table.crop(other).astype(int) - expected).mean() for other in others]
            assert errors[others.index(row)] == min(errors)


def test_both_readers_and_both_formats_agree(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames = []
    for name in FORMATS:
        table = collect(tmp_path / name / f"embeddings.{name}")
        data = read_embeddings(tmp_path / name)  # the folder is enough
        assert table.crops.path.name == "crops.zip"
        columns = "row embedding x1 y1 x2 y2 score label identity annotated_id overlap sequence frame time image"
        assert list(data.columns) == columns.split()
        assert np.stack(data["embedding"]).tolist() == table.embeddings.tolist()
        assert data["embedding"][0].dtype == np.float32
        assert data[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == table.boxes.tolist()
        assert data["identity"].tolist() == table.identities.tolist()
        assert data.attrs["rows"] == 11
        frames.append(data.drop(columns="embedding"))
    pd.testing.assert_frame_equal(*frames)


def test_several_row_groups_are_one_table(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("jde_lightning.inference.embedding_files.ParquetWriter._GROUP", 4)
    table = collect(tmp_path / "table.parquet")
    assert pq.read_metadata(table.path).num_row_groups == 3
    assert table.embeddings.tolist() == np.concatenate([found.embeddings for found in FOUND]).tolist()
    assert table.sequences.tolist() == ["s"] * 6 + ["t"] * 3 + ["E/s", ""]


def test_only_identified(path):
    table = collect(path, only_identified=True)
    assert table.annotated_ids.tolist() == [8, 7, 8, 7, 7, 7]
    assert table.crop(5).shape[2] == 3


def test_no_box_at_all_is_an_empty_table(path):
    table = collect_embeddings(FRAMES, lambda batch: [Detections.empty(7) for _ in batch], path)
    assert len(table) == len(table.embeddings) == len(table.crops) == len(table.sequences) == 0
    pytest.importorskip("pandas")
    assert len(read_embeddings(path)) == 0


def test_nan_embeddings_are_kept(path):
    found = detections(LEFT, RIGHT)
    found.embeddings[1, 2] = np.nan
    table = collect_embeddings(FRAMES[:1], lambda batch: [found], path)
    assert np.isnan(table.embeddings[1, 2])
    assert np.isfinite(table.embeddings[0]).all()


def test_boxes_without_or_with_other_embeddings_are_refused_and_nothing_is_left(path):
    plain = Detections(np.array([LEFT]), np.ones(1))
    with pytest.raises(InputError, match="the boxes have no embeddings"):
        collect_embeddings(FRAMES[:1], lambda batch: [plain], path)
    several = iter([detections(LEFT), detections(LEFT, dim=6)])
    with pytest.raises(InputError, match="several widths in one table: 5 and 6"):
        collect_embeddings(FRAMES[:2], lambda batch: [next(several) for _ in batch], path)
    assert list(path.parent.iterdir()) == []


def test_other_files_are_refused(path, tmp_path):
    with pytest.raises(InputError, match=r"no such file; `jde-lightning embed` writes"):
        EmbeddingTable.open(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no embeddings.parquet or embeddings.npz in it"):
        EmbeddingTable.open(tmp_path / "empty")
    path.write_bytes(b"something else, but long enough to be read")
    with pytest.raises(InputError, match="cut short, or no table of embeddings"):
        EmbeddingTable.open(path)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"its format is 'None', expected 'jde_lightning embeddings 1'"):
        EmbeddingTable.open(tmp_path / "other.npz")
    with pytest.raises(InputError, match="embeddings are written to .parquet or .npz, not .csv"):
        collect(tmp_path / "table.csv")


def test_a_file_that_is_cut_short(path):
    collect(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cut short"):
        EmbeddingTable.open(path).scores.sum()


def test_without_the_optional_packages(tmp_path, monkeypatch):
    collect(tmp_path / "table.npz")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert len(EmbeddingTable.open(tmp_path / "table.npz").embeddings) == 11
    with pytest.raises(InputError, match=r"a DataFrame needs pandas: pip install 'jde-lightning\[explore\]'"):
        read_embeddings(tmp_path / "table.npz")
    with pytest.raises(InputError, match="Parquet needs pyarrow"):
        collect(tmp_path / "table.parquet")


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from test_embedding_collection import frame, LEFT
from jde_lightning.inference import collect_embeddings
from jde_lightning.structures import Detections

BOXES, DIM = 20, 512
one = frame([LEFT], [1])
looks = np.ones((BOXES, DIM), np.float32)
found = Detections(np.tile(np.float32(LEFT), (BOXES, 1)), np.ones(BOXES), None, looks)

def frames(count):
    for number in range(count):
        one.annotations.frame = number
        yield one._replace(image_path=f"/some/folder/{number}.jpg")

def peak(count):
    path = Path(sys.argv[1]).with_stem(f"t{count}")
    table = collect_embeddings(frames(count), lambda b: [found] * len(b), path, crop_size=(4, 8))
    assert len(table) == count * BOXES
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

print(peak(410), peak(2000))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_the_frames(path):
    """2000 frames hold 80 MB of embeddings; writing them takes what 410 frames take, two row groups of Parquet."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = map(float, done.stdout.split())
    assert large - small < 25, f"{small:.0f} MB for 410 frames, {large:.0f} MB for 2000"
