"""Whether the nearest embeddings show the same person, at validation."""

from __future__ import annotations

from jde_lightning.callbacks.embedding_silhouette import _EmbeddingCallback


class Retrieval(_EmbeddingCallback):
    """Logs ``retrieval_map``, ``rank1`` and ``rank5`` of every detection searched among all others.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
        conf: lowest confidence of a detection that is measured.
        iou: lowest overlap of a detection and the annotation that gives it its identity.
    """

    measures = "retrieval"
    names = {"retrieval_map": "retrieval_map", "rank1": "rank1", "rank5": "rank5"}  # noqa: RUF012  # a constant
