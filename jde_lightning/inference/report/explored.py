"""All that the report computes from embeddings, before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jde_lightning.inference.report.described import Described
from jde_lightning.metrics.embeddings import embedding_metrics, why_undefined
from jde_lightning.metrics.hard_pairs import HardPairs, hardest_negatives, hardest_positives
from jde_lightning.metrics.per_identity import IdentitySilhouettes, identity_silhouettes
from jde_lightning.metrics.projection import Projection, ProjectionMethod, project_embeddings
from jde_lightning.metrics.time_gaps import TimeGapDistances, distances_by_time_gap
from jde_lightning.metrics.usable import balanced_sample, usable_rows
from jde_lightning.metrics.verification import PairHistograms, VerificationCurve, pair_histograms, verification_curve
from jde_lightning.structures import IntArray

MOST_ROWS = 20_000
"""So many embeddings are compared with each other; more take minutes and look the same."""
MAP_POINTS = 1_500
"""Points of the map, whose thumbnails are in the page."""
PAIRS = 12
"""Hardest pairs of each kind."""


@dataclass
class Explored:
    """All that is computed from embeddings.

    Attributes:
        described: the embeddings.
        metrics: ``embedding_metrics`` and ``verification_metrics``, by the names under which they are logged.
        sample: ``(S,)`` int64 rows of the map.
        views: projections of these rows.
        histograms: distances of pairs.
        gaps: distances of pairs by the time between them.
        roc: of the decision whether two embeddings show one identity.
        silhouettes: by identity.
        positives: least alike pairs of one identity.
        negatives: most alike pairs of two.
        undefined: why what needs identities is undefined; empty if it is not.
        notes: what was left out.
    """

    described: Described
    metrics: dict[str, float]
    sample: IntArray
    views: list[Projection]
    histograms: PairHistograms
    gaps: TimeGapDistances
    roc: VerificationCurve
    silhouettes: IdentitySilhouettes
    positives: HardPairs
    negatives: HardPairs
    undefined: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def pair_rows(self) -> IntArray:
        """Rows of all hardest pairs."""
        pairs = self.positives, self.negatives
        return np.concatenate([side for found in pairs for side in (found.first, found.second)])


def explore(described: Described, methods: Sequence[ProjectionMethod] = ("tsne", "pca")) -> Explored:
    """Compute all that the sections show.

    Args:
        described: the embeddings; of very many, a sample that is balanced over the identities.
        methods: projections of the map, the first one is shown first.

    Raises:
        InputError: if a method is unknown, or not installed.
    """
    notes = []
    if len(described) > MOST_ROWS:
        notes.append(
            f"{MOST_ROWS:,} of {len(described):,} embeddings, balanced over the identities, are compared: the numbers "
            "of these sections differ a little from those of the validation."
        )
        described = described.take(balanced_sample(described.identities, MOST_ROWS))
    usable, broken = usable_rows(described.embeddings)
    if broken:
        notes.append(f"{broken[0].upper()}{broken[1:]}.")
        described = described.take(usable)
    vectors, identities = described.embeddings, described.identities
    roc = verification_curve(vectors, identities)
    measured = embedding_metrics(vectors, identities, warn=False)
    if "silhouette_cosine" in measured:
        measured["silhouette"] = measured.pop("silhouette_cosine")
    sample = balanced_sample(identities, MAP_POINTS)
    names = np.array(described.groups)
    # the same perplexity rule and notes for each; empty tables have nothing to project
    views = [project_embeddings(vectors[sample], method) for method in methods] if len(sample) else []
    return Explored(
        described=described,
        metrics={**measured, **roc.values},
        sample=sample,
        views=views,
        histograms=pair_histograms(vectors, identities),
        gaps=distances_by_time_gap(vectors, identities, names[described.group_of], described.times),
        roc=roc,
        silhouettes=identity_silhouettes(vectors, identities),
        positives=hardest_positives(vectors, identities, PAIRS),
        negatives=hardest_negatives(vectors, identities, PAIRS),
        undefined=why_undefined(identities),
        notes=notes,
    )
