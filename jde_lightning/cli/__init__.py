"""The command line: one door for the console script, ``python -m jde_lightning``, tests and notebooks.

Nothing heavy is imported before a verb is chosen, so that ``jde-lightning --help`` answers at once.
"""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from jde_lightning import __version__
from jde_lightning.cli.termination import EXIT_CODE as TERMINATED_CODE
from jde_lightning.cli.termination import Terminated, sigterm_interrupts
from jde_lightning.errors import InputError, UsageError

PROGRAM = "jde-lightning"

_LIGHTNING_VERBS = {
    "fit": "train a network and measure it after every epoch",
    "validate": "measure a checkpoint on the validation data",
    "test": "measure a checkpoint on the test data",
    "predict": "detect and embed in the prediction data, one .npz per sequence",
}
# verb -> module of cli with HELP, add_arguments and run; importing it must be light, the work is imported in run.
# With PASSES_UNKNOWN_ARGUMENTS the words that the parser does not know go to run as ``args.unknown``; with
# TAKES_FIT_ARGUMENTS those after ``--`` go there as ``args.fit``; with TAKES_DATA_FLAGS the ``--data...`` flags and
# their values, which a parser with positional arguments would take for those, go there as ``args.data``.
_OWN_VERBS = {
    "track": "track",
    "evaluate": "evaluate",
    "cache": "cache",
    "embed": "embed",
    "tune": "tune",
    "export": "export",
    "submit": "submit",
    "report": "report",
    "benchmark": "benchmark",
    "ablate": "ablate",
    "configs": "configs",
    "data check": "data_check",
    "data synthesize": "synthesize",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        args: the words after ``jde-lightning``; those of the process if omitted.

    Returns:
        0 if all went well, 1 if the work failed, 2 if the command was wrong, 130 if it was interrupted, 143 if
        SIGTERM ended it.
    """
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        # Lightning's verbs listen to signals themselves, and so may a program that calls this function.
        listens = args is not None or (bool(words) and words[0] in _LIGHTNING_VERBS)
        with nullcontext() if listens else sigterm_interrupts():
            return _dispatch(words)
    except InputError as error:
        if debug:
            raise
        return _fail(words, _without_traceback(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if debug:
            raise
        return _fail(words, _system_error(error), 1)
    except Terminated:
        return _fail(words, "terminated", TERMINATED_CODE)
    except KeyboardInterrupt:
        return _fail(words, "interrupted", 130)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ModuleNotFoundError as error:
        if debug or error.name is None or error.name.split(".")[0] == "jde_lightning":
            raise
        missing = error.name.split(".")[0]
        text = f"this needs the package {missing!r}, which is not installed here (pip install jde-lightning brings it)"
        return _fail(words, text, 1)
    except Exception as error:
        if debug:
            raise
        told = _without_traceback(error)
        if type(error).__name__ == "MisconfigurationException":  # Lightning's; to import it for this would be slow
            hint = "; --trainer.accelerator cpu does without" if "gpu backend" in told else ""
            return _fail(words, f"{told.rstrip('.!')}{hint}", 2)
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {told} (at {where.name}, line {where.lineno}; --debug shows the traceback)"
        return _fail(words, text, 1)


def _dispatch(words: list[str]) -> int:
    """Find the verb and run it."""
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return 0
    if words[0] in _LIGHTNING_VERBS:
        return _run_lightning(words)
    for length in (2, 1):
        verb = " ".join(words[:length])
        if verb in _OWN_VERBS:
            return _run_own(verb, words[length:])
    verbs = ", ".join([*_LIGHTNING_VERBS, *_OWN_VERBS])
    if len(words) == 1 or words[1] in ("-h", "--help"):
        group = [verb for verb in _OWN_VERBS if verb.startswith(f"{words[0]} ")]
        if group:  # data
            lines = [f"  {PROGRAM} {verb:<{max(map(len, group))}}  {_module(verb).HELP}" for verb in group]
            sys.stdout.write("\n".join([f"usage: {PROGRAM} {words[0]} VERB ...", "", *lines, ""]))
            return 2 if len(words) == 1 else 0
    of_two = any(verb.startswith(f"{words[0]} ") for verb in _OWN_VERBS)  # data check, data synthesize
    found = " ".join(words[: 2 if of_two else 1])
    return _fail(words[:0], f"unknown verb {found!r}; expected one of: {verbs}", 2)


def _run_lightning(words: list[str]) -> int:
    """Run one of Lightning's verbs; what can be answered or refused without Lightning is: importing it takes long."""
    from jde_lightning.cli.config_words import with_config_files
    from jde_lightning.cli.early_checks import check_checkpoint, check_sections

    verb = words[0]
    if len(words) == 1:
        return _fail(words, f"give --config FILE, such as --config quickstart; `{PROGRAM} {verb} --help`", 2)
    asked = next((place for place, word in enumerate(words) if word in ("-h", "--help")), None)
    if asked is not None:
        section = "".join(words[asked + 1 : asked + 2])
        if section and not section.startswith("-"):
            from jde_lightning.cli.full_help import print_help

            print_help(verb, section)
        else:
            from jde_lightning.cli.short_help import short_help

            sys.stdout.write(short_help(verb))
        return 0
    words = with_config_files(words)
    check_checkpoint(words)
    check_sections(verb, words[1:])

    from jde_lightning.cli.lightning_verbs import run_verb

    return run_verb(words)


def _run_own(verb: str, words: list[str]) -> int:
    """Parse the words of one of our own verbs and run it."""
    module = _module(verb)
    from jde_lightning.cli.early_checks import VerbParser
    from jde_lightning.cli.help_format import WideHelp, sentence, short_usage

    parser = VerbParser(prog=f"{PROGRAM} {verb}", description=sentence(module.HELP))
    module.add_arguments(parser)
    parser.formatter_class = WideHelp
    takes_data = getattr(module, "TAKES_DATA_FLAGS", False) or getattr(module, "PASSES_UNKNOWN_ARGUMENTS", False)
    parser.usage = parser.usage or short_usage(parser, "[--data.KEY VALUE ...]" if takes_data else "")
    if getattr(module, "TAKES_FIT_ARGUMENTS", False):
        end = words.index("--") if "--" in words else len(words)
        args = parser.parse_args(words[:end])
        args.fit = words[end + 1 :]
        return int(module.run(args))
    if getattr(module, "TAKES_DATA_FLAGS", False):
        words, flags = _without_data_flags(words)
        args = parser.parse_args(words)
        args.data = flags
        return int(module.run(args))
    if not getattr(module, "PASSES_UNKNOWN_ARGUMENTS", False):
        return int(module.run(parser.parse_args(words)))
    args, args.unknown = parser.parse_known_args(words)
    others = [word for word in args.unknown if word.startswith("-") and not word.startswith("--data")]
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    return int(module.run(args))


def _without_data_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """Part the ``--data...`` flags, each with its value, from the other words, among which a value would be lost."""
    rest: list[str] = []
    flags: list[str] = []
    waiting = False  # for the value of a flag
    for word in words:
        is_flag = word.split("=")[0] == "--data" or word.startswith("--data.")
        (flags if is_flag or (waiting and not word.startswith("--")) else rest).append(word)
        waiting = is_flag and "=" not in word
    return rest, flags


def _module(verb: str) -> Any:
    """The module of one of our own verbs."""
    return import_module(f"jde_lightning.cli.{_OWN_VERBS[verb]}")


def _overview() -> str:
    """The text of ``jde-lightning --help``."""
    verbs = {**_LIGHTNING_VERBS, **{verb: _module(verb).HELP for verb in _OWN_VERBS}}
    width = max(map(len, verbs))
    return "\n".join(
        [
            f"usage: {PROGRAM} VERB ...",
            "",
            "Train a detector and an appearance embedding together, without identity labels, and track with them.",
            "",
            *(f"  {verb:<{width}}  {line}" for verb, line in verbs.items()),
            "",
            f"`{PROGRAM} VERB --help` explains a verb; `--debug` shows the traceback of an error.",
            f"first steps: {PROGRAM} fit --config quickstart",
            "",
        ]
    )


def _without_traceback(error: Exception) -> str:
    """The message of an error; of one that torch brought from a worker process, only what the error there said."""
    text = str(error)
    if "Original Traceback (most recent call last):" not in text:
        return text
    # the last frame of the traceback is indented; what follows it is the error, "module.Class: message"
    told = re.split(r"(?m)^  File .*\n(?: .*\n)*", text)[-1]
    return told.partition(": ")[2] or told


def _system_error(error: OSError) -> str:
    """Name the file first, as our own messages do, then what the system says, and where it is plain the fix."""
    if error.filename is None or error.strerror is None:
        return _without_traceback(error)
    fix = ""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        fix = "; a file is where a folder is needed: move it, or name another folder"
    elif isinstance(error, IsADirectoryError):
        fix = "; a folder is where a file is needed: name a file in it, or another one"
    elif isinstance(error, PermissionError):
        fix = "; may this user read it, and write into its folder?"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "; make room, or write to another disk"
    return f"{error.filename}: {error.strerror.lower()}{fix}"


def _fail(words: list[str], message: str, code: int) -> int:
    """Write one line to stderr and return the exit code."""
    line = " ".join(message.split())
    verb = " ".join(words[:2]) if " ".join(words[:2]) in _OWN_VERBS else " ".join(words[:1])
    sys.stderr.write(f"{PROGRAM} {verb}".rstrip() + f": error: {line}\n")
    return code
