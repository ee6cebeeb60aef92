"""MOT17 three times: its sequences exist once per public detector, with the same images and the same people."""

from __future__ import annotations

from collections.abc import Iterable

from jde_lightning.data.readers.base import sequence_key

COPIES_LEFT_OUT = "frames of identical copies (MOT17's detectors), left out"
"""What readers note in their findings when they take one copy."""


def one_copy(sequences: Iterable[str]) -> set[str]:
    """Choose one of the copies of each sequence: FRCNN's, or the first there is.

    Args:
        sequences: names of sequences, repeated or not.

    Returns:
        The names to keep, all of them where there are no copies.
    """
    copies: dict[str, list[str]] = {}
    for name in dict.fromkeys(sequences):
        copies.setdefault(sequence_key(name), []).append(name)
    return {next((name for name in names if name.endswith("-FRCNN")), names[0]) for names in copies.values()}
