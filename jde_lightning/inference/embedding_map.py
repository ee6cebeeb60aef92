"""The interactive map of a table of embeddings."""

from __future__ import annotations

import numpy as np

from jde_lightning.inference.embedding_table import EmbeddingTable
from jde_lightning.metrics.projection import ProjectionMethod, project_embeddings
from jde_lightning.metrics.usable import balanced_sample, usable_rows
from jde_lightning.plots.clickable_map import interactive_embedding_map


def embedding_map(
    table: EmbeddingTable,
    method: ProjectionMethod = "tsne",
    max_points: int = 800,
    neighbours: int = 8,
    with_library: bool = True,
    seed: int = 0,
) -> str:
    """Project a table to the plane and build a map with crops on hover and nearest neighbours on a click.

    Args:
        table: the embeddings.
        method: of the projection; with few points it is PCA.
        max_points: most points, as many of one identity as of another; neighbours are looked for among these.
        neighbours: shown at a click.
        with_library: put Plotly's program into it; needed once in a page.
        seed: of the sample and the projection.

    Returns:
        A piece of HTML. Points whose embedding is not finite are left out, and a line says so.

    Raises:
        InputError: as :func:`~jde_lightning.metrics.projection.project_embeddings`, or if there is no archive of crops.
    """
    usable, note = usable_rows(table.embeddings)
    rows = usable[balanced_sample(table.identities[usable], max_points, seed)]
    vectors = table.embeddings[rows]
    projection = project_embeddings(vectors, method, seed=seed)
    distances = 1 - _unit(vectors) @ _unit(vectors).T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(neighbours, max(len(rows) - 1, 0))]
    page = interactive_embedding_map(
        projection.points,
        [table.crop(int(row)) for row in rows],
        [table.caption(int(row)) for row in rows],
        table.identities[rows],
        nearest,
        np.take_along_axis(distances, nearest, axis=1),
        with_library,
    )
    notes = [f"{len(rows)} of {len(table)} boxes, {projection.method}", note, projection.note]
    return f"<p>{'; '.join(part for part in notes if part)}</p>{page}"


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of norm 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
