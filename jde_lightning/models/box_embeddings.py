"""The embeddings of boxes that are known already: each is described by the anchor that training would teach it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import complete_box_iou

from jde_lightning.models.decode import anchor_points, boxes_from_distances
from jde_lightning.models.head import RawMaps
from jde_lightning.structures import Detections, FloatArray, IntArray

_SCORE_POWER, _IOU_POWER = 0.5, 6.0
"""Of the task-aligned assigner in training (arXiv:2108.07755, section 3.2, with ultralytics' exponents)."""


def describe_boxes(
    raw: RawMaps, strides: Sequence[int], boxes: Sequence[FloatArray]
) -> list[tuple[Detections, IntArray]]:
    """Describe given boxes instead of those that the network finds.

    The anchor that describes a box is the one that training's assigner ranks first for it: of those whose point lies
    inside the box, the one with the largest score ** 0.5 * CIoU ** 6, where the complete IoU is that of the box and the
    one that the anchor predicts. As in training, sides shorter than the second stride count as so long when points are
    looked for. So hidden people, whom a threshold or non-maximum suppression loses, are described too.

    Args:
        raw: the network's maps of ``B`` images.
        strides: per level the pixels per cell.
        boxes: per image ``(N, 4)`` float32 xyxy pixels of the network's input.

    Returns:
        Per image the boxes that an anchor could be found for: as they were given, with the anchor's score, label and
        embedding of unit norm; and which rows of ``boxes`` they are.
    """
    points, sizes = anchor_points(raw.shapes, strides, raw.boxes.device)
    described = []
    for image, wanted in enumerate(boxes):
        given = torch.as_tensor(np.asarray(wanted, np.float32).reshape(-1, 4), device=points.device)
        scores, labels = raw.scores[image].float().sigmoid().max(dim=0)
        middle, half = (given[:, :2] + given[:, 2:]) / 2, (given[:, 2:] - given[:, :2]).clamp(min=float(strides[1])) / 2
        inside = ((points - middle[:, None]).abs() < half[:, None]).all(dim=-1)  # (N, A)
        # only anchors inside of some box have to be decoded
        used = inside.any(dim=0).nonzero()[:, 0]
        predicted = boxes_from_distances(raw.boxes[image, :, used].T, points[used], sizes[used])
        rank = (
            scores[used] ** _SCORE_POWER
            * complete_box_iou(given, predicted).clamp(min=0) ** _IOU_POWER
            * inside[:, used]
        )
        if len(used):
            best, column = rank.max(dim=1)
            rows = (best > 0).nonzero()[:, 0]
            anchors = used[column[rows]]
        else:
            rows = anchors = used
        looks = F.normalize(raw.embeddings[image, :, anchors].T.float(), dim=1)
        columns = (given[rows], scores[anchors], labels[anchors], looks)
        found = Detections(*(column.detach().cpu().numpy() for column in columns))
        described.append((found, rows.cpu().numpy()))
    return described
