"""A key that there is not is named with its place, its value and what may be meant."""

from pathlib import Path

import pytest

from jde_lightning.cli import main
from jde_lightning.cli.data_config import data_module_from_configs
from jde_lightning.cli.unknown_keys import NAMES_ELSEWHERE, explain_unknown, keys_of, nearest_keys
from jde_lightning.errors import UsageError

QUICKSTART = str(Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml")


def refused(capsys, *words):
    assert main([*words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data.imagesize=96"], "--data.imagesize=96: there is no key data.imagesize; did you mean data.image_size"),
        (["--max_epochs", "3"], "--max_epochs 3: there is no key max_epochs; did you mean trainer.max_epochs?"),
        (["--epochs", "3"], "there is no key epochs; did you mean trainer.max_epochs?"),
        (["--zzz", "3"], "--zzz 3: there is no key zzz; `jde-lightning fit --help all` lists all"),
        (["stray"], "unrecognized arguments: stray"),
    ],
)
def test_on_the_command_line(words, told, capsys):
    assert told in refused(capsys, "fit", "--config", QUICKSTART, *words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# mine\nmodel:\n  scael: n\n", ", line 3: there is no key model.scael (value n); did you mean model.scale"),
        ("modle: {scale: n}\n", ", line 1: there is no key modle; did you mean model"),
        ("ema: {decai: 0.9}\n", ", line 1: there is no key ema.decai (value 0.9); did you mean ema.decay"),
    ],
)
def test_in_a_file(text, told, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    line = refused(capsys, "validate", "--config", QUICKSTART, "--config", str(path))
    assert line.startswith(f"jde-lightning validate: error: {path}{told}")


def test_in_the_data_of_a_configuration(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: {imagesize: 3}\n")
    with pytest.raises(UsageError, match=r"mine.yaml, line 1: there is no key data.imagesize .*data.image_size"):
        data_module_from_configs([path])
    with pytest.raises(UsageError, match=r"--data.imagesize 3: there is no key .*data.image_size"):
        data_module_from_configs([Path(QUICKSTART)], ["--data.imagesize", "3"])


def test_names_of_other_programs_are_keys_here():
    from jde_lightning.cli.lightning_verbs import JDELightningCLI

    class Parsed(JDELightningCLI):
        def instantiate_classes(self):
            pass

        def _run_subcommand(self, subcommand):
            pass

    keys = keys_of(Parsed(["fit"])._parser("fit"))
    for name, key in NAMES_ELSEWHERE.items():
        assert key.partition(".init_args")[0] in keys, name


def test_the_same_section_comes_first():
    keys = ["data", "data.image_size", "model", "model.image_sizes"]
    assert nearest_keys("data.imagesize", keys)[0] == "data.image_size"
    assert nearest_keys("xyz", keys) == []


def test_other_errors_are_left_alone():
    assert explain_unknown("Problems parsing config: Option 'x' is not accepted", ["x"], [], "") is None
