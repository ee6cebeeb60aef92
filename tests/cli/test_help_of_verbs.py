"""Every help, read as a newcomer reads it."""

import argparse
import re

import pytest

from jde_lightning import cli
from jde_lightning.cli import main

VERBS = list(cli._OWN_VERBS)


def options_of(verb):
    parser = argparse.ArgumentParser(add_help=False)
    cli._module(verb).add_arguments(parser)
    return parser._actions


@pytest.mark.parametrize("verb", VERBS)
def test_one_line_of_usage_one_sentence_and_examples(verb, capsys):
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    usage, empty, purpose, *_ = out.splitlines()
    assert usage.startswith(f"usage: jde-lightning {verb}")
    assert empty == ""
    assert re.fullmatch(r"[A-Z].*\.", purpose)
    assert re.search(rf"(?m)^examples:\n(?:  .*\n)*  jde-lightning {verb}\b", out)
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("verb", VERBS)
def test_what_cannot_be_left_out_is_in_the_usage(verb, capsys):
    main([*verb.split(), "--help"])
    usage = capsys.readouterr().out.splitlines()[0]
    for action in options_of(verb):
        if action.required and action.option_strings:
            assert action.option_strings[0] in usage
        if not action.option_strings:
            assert action.metavar in usage


@pytest.mark.parametrize("verb", VERBS)
def test_every_default_is_told(verb):
    for action in options_of(verb):
        assert action.help, action.dest
        if action.option_strings and action.nargs != 0 and action.default is not None:
            assert "(default: " in action.help or "default:" in action.help, action.option_strings[0]
        told = re.search(r"\(default: (-?[\d.]+)[),]", action.help)
        if told and action.default is not None:
            assert float(told[1]) == float(action.default), action.option_strings[0]


def test_an_option_takes_the_same_over_the_verbs():
    seen = {}
    for verb in VERBS:
        for action in options_of(verb):
            for option in action.option_strings:
                choices = tuple(action.choices or ())
                takes = (action.type, choices if option not in ("--benchmark", "--frames") else ())
                if option in ("--output", "--frames", "--space"):
                    continue
                before, where = seen.setdefault(option, (takes, verb))
                assert takes == before, f"{option} of {verb} and {where}"


def test_half_of_a_verb_of_two_words_lists_the_other_half(capsys):
    assert main(["data", "--help"]) == 0
    out = capsys.readouterr().out
    assert "jde-lightning data check " in out
    assert "jde-lightning data synthesize " in out
    assert main(["data"]) == 2


def test_data_check_refuses_what_is_no_key_of_data(capsys):
    assert main(["data", "check", "--config", "quickstart", "--outpt", "x"]) == 2
    assert "unrecognized arguments: --outpt; did you mean --output?" in capsys.readouterr().err
