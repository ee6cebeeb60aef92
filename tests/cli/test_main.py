import errno
import signal
import subprocess
import sys

import pytest

from jde_lightning.cli import main
from jde_lightning.errors import InputError

VERBS = [
    "fit",
    "validate",
    "test",
    "predict",
    "track",
    "evaluate",
    "cache",
    "tune",
    "submit",
    "ablate",
    "data synthesize",
]


def test_help_lists_every_verb_with_a_line(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for verb in VERBS:
        assert sum(line.strip().startswith(verb + "  ") for line in lines) == 1


def test_help_and_package_import_nothing_heavy():
    code = (
        "import sys, jde_lightning; from jde_lightning.cli import main; main(['--help']);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'ultralytics', 'cv2', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_words_print_the_overview_and_fail(capsys):
    assert main([]) == 2
    assert "usage: jde-lightning" in capsys.readouterr().out


def test_unknown_verb_lists_the_known_ones(capsys):
    assert main(["trian"]) == 2
    error = capsys.readouterr().err
    assert "unknown verb 'trian'" in error
    assert "evaluate" in error
    assert len(error.splitlines()) == 1


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("jde-lightning 0.")


@pytest.mark.parametrize("verb", [["track"], ["evaluate"], ["submit"], ["data", "synthesize"]])
def test_own_verbs_have_help_with_an_example(verb, capsys):
    assert main([*verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: jde-lightning {' '.join(verb)}" in out
    assert "example" in out.lower()


def test_an_input_error_is_one_line_and_debug_shows_the_traceback(capsys, tmp_path):
    words = ["evaluate", "--gt", str(tmp_path / "nowhere"), "--results", str(tmp_path)]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "nowhere" in error
    with pytest.raises(Exception, match="nowhere"):
        main([*words, "--debug"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            FileExistsError(17, "File exists", "out"),
            "out: file exists; a file is where a folder is needed",
        ),
        (
            NotADirectoryError(20, "Not a directory", "out/a"),
            "out/a: not a directory; a file is where a folder",
        ),
        (IsADirectoryError(21, "Is a directory", "out"), "out: is a directory; a folder is where a file is needed"),
        (
            PermissionError(13, "Permission denied", "/x"),
            "/x: permission denied; may this user read it",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "a.txt"), "a.txt: no space left on device; make room, or"),
        (OSError(errno.EIO, "Input/output error", "a.txt"), "a.txt: input/output error"),
        (OSError("something"), "something"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_system_names_the_file_and_a_fix(monkeypatch, capsys, error, expected):
    def fail(words):
        raise error

    monkeypatch.setattr("jde_lightning.cli._dispatch", fail)
    assert main(["track"]) == 1
    assert capsys.readouterr().err.startswith(f"jde-lightning track: error: {expected}")


def _raised_in_a_worker(error):
    """The error as torch's loader raises it in the main process."""
    from torch._utils import ExceptionWrapper

    try:
        raise error
    except Exception:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    try:
        wrapped.reraise()
    except Exception as arrived:
        return arrived


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            InputError("a.jpg: 3x4 pixels where the annotations say 5x6"),
            "a.jpg: 3x4 pixels where the annotations say 5x6",
        ),
        (OSError("the disk: is gone"), "the disk: is gone"),
        (RuntimeError("first\nsecond: line"), "RuntimeError: first second: line (at "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_in_a_worker_is_told_as_one_in_the_main_process(monkeypatch, capsys, error, expected):
    arrived = _raised_in_a_worker(error)
    assert "Original Traceback" in str(arrived)

    def fail(words):
        raise arrived

    monkeypatch.setattr("jde_lightning.cli._dispatch", fail)
    assert main(["fit"]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"jde-lightning fit: error: {expected}")
    assert "Traceback" not in line


def test_wrong_option_of_an_own_verb_is_wrong_usage(capsys):
    assert main(["evaluate", "--no-such-option"]) == 2


def test_half_of_a_verb_of_two_words_is_named_with_what_follows(capsys):
    assert main(["data", "chek"]) == 2
    assert "unknown verb 'data chek'; expected one of: " in capsys.readouterr().err


def test_sigterm_ends_a_verb_as_ctrl_c_does(monkeypatch, capsys):
    ended = []

    def run(args):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:  # as `track` does, which then writes what it has
            ended.append("written whole")
            raise
        return 0

    monkeypatch.setattr("jde_lightning.cli.configs.run", run)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        monkeypatch.setattr(sys, "argv", ["jde-lightning", "configs"])
        assert main() == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        signal.signal(signal.SIGTERM, lambda *_: ended.append("somebody else listens"))
        assert main() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["written whole", "somebody else listens"]
    assert capsys.readouterr().err == "jde-lightning configs: error: terminated\n"


def test_a_program_that_calls_a_verb_keeps_its_signals(monkeypatch):
    found = []
    monkeypatch.setattr(
        "jde_lightning.cli.configs.run", lambda args: found.append(signal.getsignal(signal.SIGTERM)) or 0
    )
    before = signal.getsignal(signal.SIGTERM)
    assert main(["configs"]) == 0
    assert found == [before]
