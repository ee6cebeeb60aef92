"""`fit --help` is short, true and light; `--help all` and `--help SECTION` have the rest."""

import re
import subprocess
import sys

import pytest

from jde_lightning.cli import main
from jde_lightning.cli.full_help import _ParserOnly
from jde_lightning.cli.short_help import GROUPS, SECTIONS

VERBS = ("fit", "validate", "test", "predict")


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_on_a_page_and_says_where_the_rest_is(verb, capsys):
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 70
    assert max(map(len, out.splitlines())) <= 120
    for text in ("examples:", "--config FILE", f"{verb} --help all", "--data.root DIR"):
        assert text in out
    assert ("--trainer.max_epochs" in out) == (verb == "fit")
    assert ("--tracking_hota.tracker" in out) == (verb != "predict")


@pytest.mark.parametrize("verb", VERBS)
def test_keys_and_defaults_are_those_of_the_parser(verb):
    parser = _ParserOnly([verb])._parser(verb)
    known = {option: action for action in parser._actions for option in action.option_strings}
    for option in (option for options in GROUPS.values() for option in options if verb in option.verbs):
        assert f"--{option.key}" in known, option.key
        if option.default is not None:
            assert parser.get_defaults()[option.key] == option.default, option.key


def test_sections_are_those_of_the_parsers():
    parsers = [_ParserOnly([verb])._parser(verb) for verb in VERBS]
    found = {action.dest.partition(".")[0] for parser in parsers for action in parser._actions}
    assert found == set(SECTIONS)


def test_short_help_imports_nothing_heavy():
    code = (
        "import sys; from jde_lightning.cli import main; main(['fit', '--help']);"
        "main(['fit', '--config', 'quikstart']);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'jsonargparse', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "quikstart: no such file" in done.stderr


def test_all_and_sections(capsys):
    assert main(["fit", "--help", "all"]) == 0
    everything = capsys.readouterr().out
    assert "--trainer.max_epochs" in everything
    assert "--data.root" in everything
    assert "last_or_new" in everything
    assert main(["fit", "--help", "data"]) == 0
    flags = re.findall(r"(?m)^  (?:-c, )?--([\w.]+)", capsys.readouterr().out)
    assert "data.root" in flags
    assert {flag.partition(".")[0] for flag in flags} == {"data"}
    assert main(["fit", "--help", "dta"]) == 2
    assert "--help dta: there is no section dta; did you mean data?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-h"], ["--config", "quickstart", "--help"], ["--help", "--config", "quickstart"]])
def test_help_is_short_wherever_it_is_asked_for(words, capsys):
    assert main(["fit", *words]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 70


def test_a_verb_alone_says_what_it_wants(capsys):
    assert main(["fit"]) == 2
    assert "give --config FILE, such as --config quickstart" in capsys.readouterr().err
