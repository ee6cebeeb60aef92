"""The adapter leaves the process as it found it, and accepts only the releases that were checked."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jde_lightning._ultralytics import VERSION, check_version

REPOSITORY = Path(__file__).resolve().parents[1]


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "OMP_", "NUMEXPR", "KINETO"))}
    env |= {"PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, check=False
    )


def test_import_changes_nothing_and_says_nothing(tmp_path):
    code = """
        import os, warnings
        import cv2, numpy, torch, torchvision, PIL.Image
        torch.set_printoptions(precision=7, linewidth=99)
        numpy.set_printoptions(precision=3)
        names = ("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", "TF_CPP_MIN_LOG_LEVEL", "KINETO_LOG_LEVEL")
        def state():
            return (torch.save, PIL.Image.open, cv2.imread, cv2.getNumThreads(), torch.get_num_threads(),
                    str(numpy.get_printoptions()), str(torch.tensor([1 / 3] * 30)), list(warnings.filters),
                    {name: os.environ.get(name) for name in names})
        before = state()
        import jde_lightning._ultralytics
        for old, new in zip(before, state()):
            assert old == new, (old, new)
    """
    done = run(code, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []  # no settings file in the home folder


def test_settings_of_the_user_win(tmp_path):
    code = "import os, jde_lightning._ultralytics; print(os.environ['YOLO_CONFIG_DIR'])"
    done = run(code, YOLO_CONFIG_DIR=str(tmp_path))
    assert done.stdout.strip() == str(tmp_path)


def test_installed_release_is_accepted():
    check_version(VERSION)


@pytest.mark.parametrize("release", ["8.4.191", "8.4.200rc1", "8.4.190"])
def test_checked_releases_pass(release):
    check_version(release)


@pytest.mark.parametrize("release", ["8.3.6", "8.4.120", "8.5.0", "9.0"])
def test_other_releases_are_refused_with_the_fix(release):
    with pytest.raises(ImportError, match=rf"needs ultralytics>=8.4.190,<8.5, found {release}: pip install"):
        check_version(release)
