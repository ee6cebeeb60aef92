"""Tracking metrics of a sequence as counts that add up, and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from jde_lightning.metrics.clear import clear_counts
from jde_lightning.metrics.hota import ALPHAS, hota_counts
from jde_lightning.metrics.identity import identity_counts
from jde_lightning.metrics.matching import Floats, sequence_pairs
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.sequences import Benchmark

Counts = Mapping[str, Floats]
Scores = dict[str, "float | int"]

COUNT_SHAPES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("hota_tp", "hota_fn", "hota_fp", "ass_a", "ass_re", "ass_pr", "loc_a"), (len(ALPHAS),)),
    **dict.fromkeys(("clear_tp", "clear_fn", "clear_fp", "idsw", "mt", "pt", "ml", "frag", "motp_sum"), ()),
    **dict.fromkeys(("idtp", "idfn", "idfp"), ()),
}
"""Shape of each count."""

SCORE_NAMES = (
    *("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA"),
    *("MOTA", "MOTP", "IDF1", "IDP", "IDR", "IDSW", "FP", "FN", "MT", "PT", "ML", "Frag"),
)


def sequence_counts(gt: MOTRows, result: MOTRows, benchmark: Benchmark = "mot17") -> dict[str, Floats]:
    """Evaluate one sequence, up to the division.

    Args:
        gt: ground truth of the sequence.
        result: tracker boxes of the sequence.
        benchmark: whose rules hold, see :func:`jde_lightning.metrics.matching.sequence_pairs`.

    Returns:
        float64 counts, shapes as in ``COUNT_SHAPES``.
    """
    pairs = sequence_pairs(gt, result, benchmark)
    return {**hota_counts(pairs), **clear_counts(pairs), **identity_counts(pairs)}


def summed(counts: Iterable[Counts]) -> dict[str, Floats]:
    """Add the counts of several sequences; scores of the sum are the combined scores, which a mean of scores is not."""
    total = {name: np.zeros(shape) for name, shape in COUNT_SHAPES.items()}
    for part in counts:
        total = {name: value + part[name] for name, value in total.items()}
    return total


def scores_from_counts(counts: Counts) -> Scores:
    """Turn counts into scores.

    A ratio without a denominator is 0, except LocA, which is 1; MOTA of a sequence without ground truth is minus the
    number of false positives. All as in TrackEval, and never NaN.

    Args:
        counts: counts of one or more sequences.

    Returns:
        HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr, LocA (means over the 19 thresholds), MOTA, MOTP, IDF1, IDP, IDR as
        fractions; IDSW, FP, FN, MT, PT, ML, Frag as integers.
    """
    tp, fn, fp = (np.asarray(counts[f"hota_{name}"], np.float64) for name in ("tp", "fn", "fp"))
    det_a = tp / np.maximum(1, tp + fn + fp)
    ass_a, ass_re, ass_pr = (counts[name] / np.maximum(1, tp) for name in ("ass_a", "ass_re", "ass_pr"))
    per_alpha = {
        "HOTA": np.sqrt(det_a * ass_a),
        "DetA": det_a,
        "AssA": ass_a,
        "DetRe": tp / np.maximum(1, tp + fn),
        "DetPr": tp / np.maximum(1, tp + fp),
        "AssRe": ass_re,
        "AssPr": ass_pr,
        "LocA": np.maximum(1e-10, counts["loc_a"]) / np.maximum(1e-10, tp),
    }
    ctp, cfn, cfp = (float(counts[f"clear_{name}"]) for name in ("tp", "fn", "fp"))
    idtp, idfn, idfp = (float(counts[name]) for name in ("idtp", "idfn", "idfp"))
    fractions = {
        "MOTA": (ctp - cfp - float(counts["idsw"])) / max(1.0, ctp + cfn),
        "MOTP": float(counts["motp_sum"]) / max(1.0, ctp),
        "IDF1": idtp / max(1.0, idtp + 0.5 * idfp + 0.5 * idfn),
        "IDP": idtp / max(1.0, idtp + idfp),
        "IDR": idtp / max(1.0, idtp + idfn),
    }
    integers = {"IDSW": "idsw", "FP": "clear_fp", "FN": "clear_fn"}
    integers |= {"MT": "mt", "PT": "pt", "ML": "ml", "Frag": "frag"}
    return {
        **{name: float(np.mean(values)) for name, values in per_alpha.items()},
        **fractions,
        **{name: round(float(counts[key])) for name, key in integers.items()},
    }
