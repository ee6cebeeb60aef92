"""From raw maps to detections: threshold, boxes, non-maximum suppression, embeddings of what is left.

Work is done on few rows only: scores decide first, distances are computed for the candidates, and embeddings are
gathered for the boxes that survive. There is no time limit after which images silently come back empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms, box_iou, nms

from jde_lightning.models.head import LateMaps, RawMaps
from jde_lightning.structures import Detections

EmbeddingPooling = Literal["best", "mean"]
EMBEDDING_POOLINGS: tuple[str, ...] = get_args(EmbeddingPooling)

EmbeddingsAt = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Embeddings ``(R, embed_dim)`` of the images ``(R,)`` and anchor points ``(R,)`` that are asked for."""

_POOLED_SHARE = 0.5  # of the confidence of a box: less sure anchors say nothing of it


def anchor_points(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Place the anchor points: the centres of all cells, level by level, row by row.

    Args:
        shapes: per level the ``(height, width)`` of its map.
        strides: per level the pixels per cell.
        device: where the tensors are wanted.

    Returns:
        ``(A, 2)`` float32 x, y in pixels of the network's input, and ``(A,)`` float32 stride of each point.
    """
    points, sizes = [], []
    for (height, width), stride in zip(shapes, strides, strict=True):
        x = torch.arange(width, dtype=torch.float32, device=device) + 0.5
        y = torch.arange(height, dtype=torch.float32, device=device) + 0.5
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack((grid_x, grid_y), dim=-1).view(-1, 2) * stride)
        sizes.append(torch.full((height * width,), float(stride), device=device))
    return torch.cat(points), torch.cat(sizes)


@lru_cache(maxsize=16)
def _known_anchor_points(
    shapes: tuple[tuple[int, int], ...], strides: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The anchor points, which are the same for all images of a size; nobody may write into them."""
    with torch.inference_mode(False):
        return anchor_points(shapes, strides, device)


def boxes_from_distances(logits: torch.Tensor, points: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Turn distributions of distances into boxes: the expected distance to each side, in cells of the level.

    Args:
        logits: ``(..., K, 4 * reg_max)``, sides left, top, right, bottom.
        points: ``(K, 2)`` anchor points in pixels.
        sizes: ``(K,)`` stride of each point in pixels.

    Returns:
        ``(..., K, 4)`` float32 xyxy pixels.
    """
    distribution = logits.float().unflatten(-1, (4, -1)).softmax(dim=-1)  # type: ignore[no-untyped-call]
    bins = torch.arange(distribution.shape[-1], dtype=torch.float32, device=logits.device)
    # A product and a sum instead of a matmul: autocast would run a matmul in half precision.
    distances = (distribution * bins).sum(dim=-1) * sizes[:, None]
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)


def decode_boxes(raw: RawMaps, strides: Sequence[int]) -> torch.Tensor:
    """Decode the boxes of all anchor points.

    Args:
        raw: the network's maps.
        strides: per level the pixels per cell.

    Returns:
        ``(B, A, 4)`` float32 xyxy pixels of the network's input.
    """
    points, sizes = anchor_points(raw.shapes, strides, raw.boxes.device)
    return boxes_from_distances(raw.boxes.transpose(1, 2), points, sizes)


def decode(
    raw: RawMaps | LateMaps,
    strides: Sequence[int],
    conf: float = 0.1,
    iou: float = 0.7,
    max_det: int = 300,
    class_agnostic: bool = False,
    max_candidates: int = 30_000,
    pooling: EmbeddingPooling = "best",
    embeddings_at: EmbeddingsAt | None = None,
) -> list[Detections]:
    """Find the detections in the network's maps.

    Each anchor point stands for its most likely class. All arithmetic is in float32, also under autocast.

    Args:
        raw: the network's maps of ``B`` images.
        strides: per level the pixels per cell.
        conf: confidence that a detection must exceed, in 0..1.
        iou: overlap above which the less confident of two boxes is suppressed.
        max_det: most detections per image.
        class_agnostic: whether boxes of different classes suppress each other too.
        max_candidates: most confident candidates per image that enter the suppression.
        pooling: which anchors describe the appearance of a box: ``best`` is the paper's, the anchor that predicted it;
            ``mean`` averages over all anchors of at least half its confidence that found the same object, weighted by
            their confidence. Those need not exceed ``conf``, so that no embedding depends on it.
        embeddings_at: computes embeddings, which :class:`LateMaps` do not hold; of ``RawMaps`` it takes the place of
            theirs.

    Returns:
        Per image its detections, most confident first: boxes in xyxy pixels of the network's input, unclipped;
        embeddings of unit norm. An image without any gives empty arrays.

    Raises:
        ValueError: if the maps have no embeddings and nothing computes them.
    """
    if embeddings_at is None:
        if not isinstance(raw, RawMaps):
            msg = "these maps have no embeddings: pass embeddings_at, or detect by YOLO11JDE.detect"
            raise ValueError(msg)
        embeddings_at = partial(_looked_up, raw.embeddings)
    logits = raw.scores.float()
    several = logits.shape[1] > 1
    # Looking for the likeliest of one class would take as long as the rest of these lines.
    scores, labels = logits.sigmoid().max(dim=1) if several else (logits[:, 0].sigmoid(), None)  # (B, A)
    images, anchors = (scores > (conf if pooling == "best" else conf * _POOLED_SHARE)).nonzero(as_tuple=True)
    scores = scores[images, anchors]
    labels = torch.zeros_like(images) if labels is None else labels[images, anchors]
    points, sizes = _known_anchor_points(tuple(raw.shapes), tuple(strides), raw.boxes.device)
    boxes = boxes_from_distances(raw.boxes[images, :, anchors], points[anchors], sizes[anchors])

    # Where there is one class, or all suppress each other, the plain suppression does without moving classes apart.
    grouped = several and not class_agnostic
    groups = labels if grouped else torch.zeros_like(labels)
    kept: list[torch.Tensor] = []
    same: list[torch.Tensor] = []
    start = 0
    for count in torch.bincount(images, minlength=len(raw.boxes)).tolist():
        of_image = slice(start, start + count)
        order = scores[of_image].argsort(descending=True, stable=True)[:max_candidates] + start
        if pooling == "mean":
            order = order[scores[order] > conf]
        candidates = boxes[order], scores[order]
        left = batched_nms(*candidates, groups[order], iou) if grouped else nms(*candidates, iou)
        kept.append(order[left[:max_det]])
        if pooling == "mean":
            same.append(_same_objects(kept[-1], of_image, boxes, scores, groups, iou))
        start += count

    rows = torch.cat(kept)
    found, described_by = torch.cat(same, dim=1) if same else (rows, rows)
    places = images[described_by], anchors[described_by]
    looks = F.normalize(embeddings_at(*places).float(), dim=1)
    if same:
        sums = looks.new_zeros((len(boxes), looks.shape[1]))
        sums.index_add_(0, found, looks * scores[described_by, None])
        looks = F.normalize(sums[rows], dim=1)
    return _split(kept, boxes[rows], scores[rows], labels[rows], looks)


def _looked_up(embeddings: torch.Tensor, images: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Rows of a dense map of embeddings ``(B, D, A)``."""
    return embeddings[images, :, anchors]


def _same_objects(
    kept: torch.Tensor, rows: slice, boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, iou: float
) -> torch.Tensor:
    """Pair the kept candidates of an image with those of its ``rows`` that found the same object, themselves included.

    Returns:
        ``(2, P)`` int64 rows of the kept candidate and of the other one. A candidate that overlaps two kept boxes
        counts for both: so what belongs to a box does not depend on which other boxes are kept.
    """
    share = scores[rows] / scores[kept, None]
    same = box_iou(boxes[kept], boxes[rows]) > iou
    same &= (groups[kept, None] == groups[rows]) & (share >= _POOLED_SHARE) & (share <= 1)
    same[torch.arange(len(kept), device=kept.device), kept - rows.start] = True  # also where a box has no area
    first, second = same.nonzero(as_tuple=True)
    return torch.stack((kept[first], second + rows.start))


def _split(kept: list[torch.Tensor], *columns: torch.Tensor) -> list[Detections]:
    """Move boxes, scores, labels and embeddings to the host in one go, and split them by image."""
    arrays = [column.detach().cpu().numpy() for column in columns]
    detections, start = [], 0
    for rows_of_image in kept:
        part = slice(start, start + len(rows_of_image))
        detections.append(Detections(*(array[part] for array in arrays)))
        start = part.stop
    return detections
