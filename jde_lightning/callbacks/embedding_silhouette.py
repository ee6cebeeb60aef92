"""How well the embeddings of different people separate, at validation."""

from __future__ import annotations

from typing import Literal

import lightning.pytorch as pl

from jde_lightning.callbacks.identity_matching import MatchedEmbeddings, join
from jde_lightning.callbacks.validation import ValidationCallback, gather_from_ranks
from jde_lightning.metrics.embeddings import embedding_metrics, why_undefined
from jde_lightning.metrics.verification import verification_metrics
from jde_lightning.structures import ValidationOutput


class _EmbeddingCallback(ValidationCallback):
    """Collects embeddings with their annotated identity and logs some of the embedding metrics.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
        conf: lowest confidence of a detection that is measured.
        iou: lowest overlap of a detection and the annotation that gives it its identity.
    """

    names: dict[str, str]
    """Logged name by the name that :func:`embedding_metrics` (and :func:`verification_metrics`) uses."""
    measures: Literal["separation", "retrieval"]
    """The half of :func:`embedding_metrics` that these names come from."""

    def __init__(self, every_n_epochs: int = 1, conf: float = 0.1, iou: float = 0.5) -> None:
        super().__init__(every_n_epochs)
        self.conf = conf
        self.iou = iou
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self._matched = MatchedEmbeddings(self.conf, self.iou)

    def collect(self, output: ValidationOutput) -> None:
        """Add the embeddings of a batch."""
        self._matched.collect(output)

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Compute over all ranks; what is undefined, such as anything without identities, is left out."""
        embeddings, identities = join(gather_from_ranks(self._matched.images()))
        undefined = why_undefined(identities)
        if undefined and trainer.is_global_zero:
            self.warn_once(f"{self.measures}: {undefined}")
        retrieval = self.measures == "retrieval"
        values = embedding_metrics(embeddings, identities, separation=not retrieval, retrieval=retrieval, warn=False)
        if not retrieval:
            values |= verification_metrics(embeddings, identities)
        return {logged: values[name] for name, logged in self.names.items() if name in values}


class EmbeddingQuality(_EmbeddingCallback):
    """Logs ``silhouette`` (cosine), ``silhouette_euclidean``, mean distances, and how well pairs can be told apart.

    The last by a threshold on the cosine: ``roc_auc`` and ``tpr_at_fpr_1e-2``, see :func:`verification_metrics`.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
        conf: lowest confidence of a detection that is measured.
        iou: lowest overlap of a detection and the annotation that gives it its identity.
    """

    measures = "separation"
    names = {  # noqa: RUF012  # a constant of the class
        "silhouette_cosine": "silhouette",
        "silhouette_euclidean": "silhouette_euclidean",
        "mean_positive_cosine": "mean_positive_cosine",
        "mean_negative_cosine": "mean_negative_cosine",
        "mean_positive_euclidean": "mean_positive_euclidean",
        "mean_negative_euclidean": "mean_negative_euclidean",
        "roc_auc": "roc_auc",
        "tpr_at_fpr_1e-2": "tpr_at_fpr_1e-2",
    }
