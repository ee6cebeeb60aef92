import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest

from jde_lightning.cli import main
from jde_lightning.inference import EmbeddingTable

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = {"numpy", "opencv-python", "onnxruntime", "lap", "pyyaml", "tqdm"}
# A process in which nothing can be imported that the runtime does not need.
WITHOUT_TORCH = """
import sys

class Blocked:
    names = {"torch", "torchvision", "lightning", "ultralytics", "torchmetrics", "scipy", "sklearn", "onnx", "pandas",
             "pytorch_metric_learning", "faster_coco_eval", "jsonargparse", "tensorboard", "matplotlib", "PIL"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)", name=name)

sys.meta_path.insert(0, Blocked())
from jde_lightning.cli import main
code = main(sys.argv[1:])
assert not Blocked.names & {name.partition(".")[0] for name in sys.modules}
sys.exit(code)
"""


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (128, 72), interpolation=cv2.INTER_CUBIC)
    for number in range(1, 7):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **more)


@pytest.mark.slow
def test_export_writes_and_tells_what_track_runs(small_exports, frames, tmp_path, capsys):
    model = tmp_path / "model.onnx"
    words = ["--weights", str(small_exports.checkpoint), "--output", str(model), "--imgsz", "64", "96"]
    assert main(["export", *words, "--nms", "--conf", "0.2", "--tracker", "low_frame_rate"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{model}: ")
    assert "2 classes, embeddings of width 8" in printed
    assert "in  images         (batch, 3, 64, 96)" in printed
    assert "out embeddings     (detections, 8)" in printed
    assert "onnxruntime agrees with torch: boxes within " in printed
    told = {e.key: json.loads(e.value) for e in pytest.importorskip("onnx").load(model).metadata_props}
    assert told["jde_lightning.fixed_size"] == [64, 96]
    assert told["jde_lightning.suppression"] == {"conf": 0.2, "iou": 0.7, "max_det": 300}
    assert told["jde_lightning.tracker"]["init_args"]["motion_gate"] == "inf"  # which JSON has no number for
    assert main(["track", str(frames), "--weights", str(model), "--output", str(tmp_path / "out")]) == 0
    rows = np.loadtxt(tmp_path / "out" / "frames.txt", delimiter=",", ndmin=2)
    assert sorted(set(rows[:, 0])) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["dense", "suppressing", "fixed"])
def test_track_needs_no_torch(small_exports, frames, tmp_path, kind):
    weights = getattr(small_exports, kind)
    words = ["track", str(frames), "--weights", str(weights), "--tracker", "low_frame_rate", "--conf", "0.3"]
    done = run([sys.executable, "-c", WITHOUT_TORCH, *words, "--output", str(tmp_path / "without"), "--explain"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("frames: 6 frames, ")
    assert main([*words, "--output", str(tmp_path / "with")]) == 0
    without, there = ((tmp_path / name / "frames.txt").read_text() for name in ("without", "with"))
    assert without == there != ""


def test_cache_needs_no_torch_and_a_checkpoint_says_what_to_do(small_exports, frames, tmp_path):
    words = ["cache", str(frames), "--output", str(tmp_path / "cache.npz"), "--weights"]
    done = run([sys.executable, "-c", WITHOUT_TORCH, *words, str(small_exports.dense)])
    assert done.returncode == 0, done.stderr
    done = run([sys.executable, "-c", WITHOUT_TORCH, *words, str(small_exports.checkpoint)])
    assert done.returncode == 1
    assert "checkpoints need torch, which is not installed; export the network where it is" in done.stderr


def test_embed_needs_no_torch_and_describes_what_the_checkpoint_does(small_exports, frames, tmp_path, capsys):
    words = ["embed", str(frames), "--conf", "0.3", "--output"]
    exported = [str(tmp_path / "exported.npz"), "--weights", str(small_exports.dense)]
    without = WITHOUT_TORCH.replace('"scipy", ', "")  # which finds whom a box is of
    done = run([sys.executable, "-c", without, *words, *exported])
    assert done.returncode == 0, done.stderr
    assert main([*words, str(tmp_path / "torch.npz"), "--weights", str(small_exports.checkpoint)]) == 0
    found, expected = (EmbeddingTable.open(tmp_path / f"{name}.npz") for name in ("exported", "torch"))
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.1)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-3)
    assert found.meta["origin"]["settings"]["backend"] == "onnxruntime"
    capsys.readouterr()
    assert main([*words, *exported, "--overwrite", "--boxes", "annotated"]) == 2
    assert "--boxes annotated needs the network itself, and" in capsys.readouterr().err


@pytest.mark.slow
def test_track_in_an_environment_of_its_own(small_exports, frames, tmp_path):
    """What docs/export.md tells to install is enough."""
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    source = tmp_path / "source"  # pip builds beside the sources
    ignored = shutil.ignore_patterns(".*", "tests", "docs", "notebooks", "runs", "build", "*.egg-info")
    shutil.copytree(REPOSITORY, source, ignore=ignored)
    for words in (sorted(RUNTIME), ["--no-deps", str(source)]):
        done = run([str(scripts / "python"), "-m", "pip", "install", "--quiet", *words], env=environment)
        if done.returncode and any(why in done.stderr for why in ("onnection", "No matching distribution")):
            pytest.skip(f"no package index to install from: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    words = ["track", str(frames), "--weights", str(small_exports.dense), "--conf", "0.3"]
    done = run(
        [str(scripts / "jde-lightning"), *words, "--output", str(tmp_path / "there")], env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert main([*words, "--output", str(tmp_path / "here")]) == 0
    there, here = ((tmp_path / name / "frames.txt").read_text() for name in ("there", "here"))
    assert there == here != ""


def test_the_extra_and_the_docs_name_what_the_runtime_needs():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = setup["options.extras_require"]["runtime"].split("\n")
    names = {re.split(r"[<>=]", line)[0] for line in listed if line and not line.startswith("#")}
    assert names == RUNTIME
    page = (REPOSITORY / "docs" / "export.md").read_text()
    command = next(line for line in page.splitlines() if line.startswith("pip install numpy"))
    assert set(command.split()[2:]) == RUNTIME


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--imgsz", "1", "2", "3"], "--imgsz takes one side, or height and width, got 1 2 3"),
        (["--conf", "0.3", "--max-det", "5"], "--conf, --max-det only with --nms"),
    ],
)
def test_wrong_usage(tmp_path, capsys, words, message):
    assert main(["export", "--weights", "best.ckpt", "--output", str(tmp_path / "m.onnx"), *words]) == 2
    assert message in capsys.readouterr().err


def test_wrong_input(tmp_path, capsys):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    words = ["export", "--weights", "nowhere.ckpt", "--output", str(tmp_path / "m.onnx")]
    assert main(words) == 1
    assert "nowhere.ckpt: no such weights file" in capsys.readouterr().err
    assert main([*words, "--tracker", "sort"]) in (1, 2)
    assert "--tracker sort: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_has_examples(capsys):
    assert main(["export", "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "--dynamic-size" in text
