"""From raw maps to detections: threshold, boxes, non-maximum suppression, embeddings of what is left.

Work is done on few rows only: scores decide first, distances are computed for the candidates, and embeddings are
gathered for the boxes that survive. There is no time limit after which images silently come back empty.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms

from jde_lightning.models.head import RawMaps
from jde_lightning.structures import Detections


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


def boxes_from_distances(logits: torch.Tensor, points: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Turn distributions of distances into boxes: the expected distance to each side, in cells of the level.

    Args:
        logits: ``(..., K, 4 * reg_max)``, sides left, top, right, bottom.
        points: ``(K, 2)`` anchor points in pixels.
        sizes: ``(K,)`` stride of each point in pixels.

    Returns:
        ``(..., K, 4)`` float32 xyxy pixels.
    """
    distribution = logits.float().unflatten(-1, (4, -1)).softmax(dim=-1)
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
    raw: RawMaps,
    strides: Sequence[int],
    conf: float = 0.1,
    iou: float = 0.7,
    max_det: int = 300,
    class_agnostic: bool = False,
    max_candidates: int = 30_000,
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

    Returns:
        Per image its detections, most confident first: boxes in xyxy pixels of the network's input, unclipped;
        embeddings of unit norm. An image without any gives empty arrays.
    """
    scores, labels = raw.scores.float().sigmoid().max(dim=1)  # (B, A)
    images, anchors = (scores > conf).nonzero(as_tuple=True)
    scores, labels = scores[images, anchors], labels[images, anchors]
    points, sizes = anchor_points(raw.shapes, strides, raw.boxes.device)
    boxes = boxes_from_distances(raw.boxes[images, :, anchors], points[anchors], sizes[anchors])

    kept: list[torch.Tensor] = []
    start = 0
    for count in torch.bincount(images, minlength=len(raw.boxes)).tolist():
        rows = slice(start, start + count)
        order = scores[rows].argsort(descending=True, stable=True)[:max_candidates] + start
        groups = torch.zeros_like(labels[order]) if class_agnostic else labels[order]
        kept.append(order[batched_nms(boxes[order], scores[order], groups, iou)[:max_det]])
        start += count
    return _collect(raw, images, anchors, boxes, scores, labels, kept)


def _collect(
    raw: RawMaps,
    images: torch.Tensor,
    anchors: torch.Tensor,
    boxes: torch.Tensor,
    scores: torch.Tensor,
    labels: torch.Tensor,
    kept: list[torch.Tensor],
) -> list[Detections]:
    """Move the kept candidates to the host in one go, and split them by image."""
    rows = torch.cat(kept)
    embeddings = F.normalize(raw.embeddings[images[rows], :, anchors[rows]].float(), dim=1)
    tensors = (boxes[rows], scores[rows], labels[rows], embeddings)
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    detections, start = [], 0
    for rows_of_image in kept:
        part = slice(start, start + len(rows_of_image))
        detections.append(Detections(*(array[part] for array in arrays)))
        start = part.stop
    return detections
