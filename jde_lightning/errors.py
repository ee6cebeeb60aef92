"""The exceptions that mean "the input is wrong", not "the program is wrong"."""

from __future__ import annotations


class InputError(ValueError):
    """A file, key or value that the user gave cannot be used.

    The command line prints the message as one line without a traceback, so it must say what was found, where (file,
    line, key), what is expected, and the fix.
    """


class UsageError(InputError):
    """The command or its configuration is wrong, so that nothing was tried: exit code 2 instead of 1."""


class NonFiniteError(InputError):
    """A loss, an embedding or a gradient is NaN or infinite; weights of this moment are not worth keeping."""


class ParityError(InputError):
    """An exported file does not compute what the network computes; it is not written."""
