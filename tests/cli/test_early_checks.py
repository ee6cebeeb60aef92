"""What is not there is refused before what takes seconds to import."""

import json
import subprocess
import sys

import pytest

from jde_lightning.cli import main

COMMANDS = {
    "fit --config quikstart": "quikstart: no such file",
    "validate --config quickstart --ckpt_path nowhere.ckpt": "--ckpt_path nowhere.ckpt: no such file",
    "fit --confg quickstart": "--confg quickstart: there is no key confg; did you mean config?",
    "fit --config quickstart --epochs=3": "--epochs=3: there is no key epochs; did you mean trainer.max_epochs?",
    "track pictures --weights w.ckpt --output o": "w.ckpt: no such weights file",
    "embed pictures --weights w.ckpt --output o": "w.ckpt: no such weights file",
    "embed --config nowhere.yaml --weights w.ckpt --output o": "nowhere.yaml: no such file",
    "embed --config quickstart --weights w.ckpt --output o": "w.ckpt: no such weights file",
    "cache pictures --weights w.ckpt --output c.npz": "w.ckpt: no such weights file",
    "export --weights w.ckpt --output m.onnx": "w.ckpt: no such weights file",
    "benchmark --weights w.ckpt": "w.ckpt: no such weights file",
    "report nowhere": "nowhere: no such folder",
    "tune c.npz --gt nowhere --output o": "--gt nowhere: no such file or folder",
    "data check --config nowhere.yaml": "nowhere.yaml: no such file",
}


def test_missing_files_are_refused_without_heavy_imports(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(b"")
    code = (
        "import json, sys; from jde_lightning.cli import main\n"
        "heavy = {'torch', 'lightning', 'ultralytics', 'matplotlib'}\n"
        f"for command in json.loads({json.dumps(list(COMMANDS))!r}):\n"
        "    code = main(command.split())\n"
        "    loaded = sorted({m.split('.')[0] for m in sys.modules} & heavy)\n"
        "    sys.stderr.write(f'{code} {loaded}\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(COMMANDS), done.stderr
    for (command, told), line, loaded in zip(COMMANDS.items(), lines[::2], lines[1::2], strict=True):
        assert told in line, command
        assert loaded in ("1 []", "2 []"), command
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["track", "a.mp4", "--weights", "w", "--output", "o", "--vido"], "--vido; did you mean --video?"),
        (["submit", "--zzz", "1"], "the following arguments are required: --benchmark, --results, --output"),
        (["configs", "--pth"], "unrecognized arguments: --pth; did you mean --path? (`jde-lightning configs --help`)"),
        (["export", "--weights", "w", "--output", "o", "--scale", "q"], "argument --scale: invalid choice: 'q'"),
    ],
)
def test_wrong_options_are_one_line_with_the_nearest(words, told, capsys):
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"jde-lightning {words[0]}: error: ")
    assert told in line
