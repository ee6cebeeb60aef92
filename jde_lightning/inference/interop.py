"""Detections and tracks to and from the structures of other projects: supervision, Ultralytics, BoxMOT.

Boxes are xyxy pixels everywhere, so nothing is converted but names and types, and nothing is lost that the other side
has a place for. The other projects are imported only where one of their objects has to be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, FloatArray, Tracks

if TYPE_CHECKING:
    import boxmot.structures
    import supervision

EMBEDDING_FIELD = "embedding"
INDEX_FIELD = "detection_index"
CLASS_NAME_FIELD = "class_name"  # supervision's own name, which its label annotators look for


def to_supervision(
    found: Detections | Tracks, class_names: Sequence[str] | None = None, detections: Detections | None = None
) -> supervision.Detections:
    """Hand detections or tracks to supervision's annotators, zones and trackers.

    Args:
        found: what is handed over. The ids of tracks become ``tracker_id``.
        class_names: names of the classes, for ``data["class_name"]``.
        detections: of the same frame as the tracks, whose embeddings then go with them. Tracks that are matched to none
            of them get zeros.

    Returns:
        ``supervision.Detections`` with ``data["embedding"]`` ``(N, D)`` where there are embeddings, and for tracks
        ``data["detection_index"]``.

    Raises:
        InputError: if supervision is not installed, or a label has no name.
    """
    try:
        import supervision
    except ImportError as error:
        msg = f"supervision cannot be imported ({error}): pip install supervision"
        raise InputError(msg) from error
    data: dict[str, Any] = {}
    embeddings = found.embeddings if isinstance(found, Detections) else None
    ids = None
    if isinstance(found, Tracks):
        ids = found.ids
        data[INDEX_FIELD] = found.detection_indices
        if detections is not None and detections.embeddings is not None:
            embeddings = _embeddings_of_tracks(found, detections.embeddings)
    if embeddings is not None:
        data[EMBEDDING_FIELD] = embeddings
    if class_names is not None:
        if len(found) and not (found.labels.min() >= 0 and found.labels.max() < len(class_names)):
            msg = f"label {found.labels.max()} has no name; there are {len(class_names)}: {', '.join(class_names)}"
            raise InputError(msg)
        data[CLASS_NAME_FIELD] = np.array([class_names[i] for i in found.labels], dtype=str)
    return supervision.Detections(
        xyxy=found.boxes, confidence=found.scores, class_id=found.labels, tracker_id=ids, data=data
    )


def detections_from_supervision(found: supervision.Detections) -> Detections:
    """Take detections over from supervision, for a tracker of this package.

    Args:
        found: with confidences; classes are 0 where there are none. Embeddings are read from ``data["embedding"]``.

    Returns:
        The detections, in their order. Embeddings are scaled to unit norm.

    Raises:
        InputError: if there are no confidences.
    """
    embeddings = found.data.get(EMBEDDING_FIELD)
    labels: Any = found.class_id
    boxes: Any = found.xyxy
    return Detections(boxes, _confidences(found), labels, None if embeddings is None else _unit_norm(embeddings))


def tracks_from_supervision(found: supervision.Detections, first_id: int = 1) -> Tracks:
    """Take tracks over from supervision, for the metrics, writers and drawings of this package.

    Args:
        found: with confidences and ``tracker_id``. Rows whose id lies below ``first_id``, which is how some trackers
            mark what they do not follow, are left out.
        first_id: the smallest id that the tracker gives: 1 for supervision's ByteTrack, 0 for Roboflow's ``trackers``.
            From 0, ids are shifted by one, as ids of tracks are positive.

    Returns:
        The tracks.

    Raises:
        InputError: if there are no confidences or no ids, or there is an id 0 although ``first_id`` is 1.
    """
    if found.tracker_id is None:
        msg = "supervision's detections have no tracker_id: pass them through a tracker first"
        raise InputError(msg)
    ids = np.asarray(found.tracker_id, dtype=np.int64)
    if first_id > 0 and (ids == 0).any():
        msg = "there is a track with id 0, but ids of tracks are positive: pass first_id=0 for this tracker"
        raise InputError(msg)
    n = len(ids)
    labels = np.zeros(n, np.int64) if found.class_id is None else np.asarray(found.class_id)
    indices = np.asarray(found.data.get(INDEX_FIELD, np.arange(n)))
    scores = _confidences(found)
    rows = ids >= first_id
    boxes: Any = found.xyxy
    return Tracks(boxes[rows], ids[rows] + (first_id <= 0), scores[rows], labels[rows], indices[rows])


def to_rows(found: Detections | Tracks) -> FloatArray:
    """Lay detections or tracks out as the rows that Ultralytics' ``Boxes`` and BoxMOT's trackers take.

    Args:
        found: what is handed over.

    Returns:
        Detections: ``(N, 6)`` float32 ``x1, y1, x2, y2, score, class``. Tracks: ``(M, 7)`` float32
        ``x1, y1, x2, y2, id, score, class``, the order of Ultralytics' ``Results.boxes.data``.
    """
    columns: list[Any] = [found.boxes, found.scores[:, None], found.labels[:, None]]
    if isinstance(found, Tracks):
        columns.insert(1, found.ids[:, None])
    return np.concatenate(columns, axis=1, dtype=np.float32)


def detections_from_ultralytics(results: Any, embeddings: Any = None) -> Detections:
    """Take detections over from Ultralytics.

    Args:
        results: ``Results`` of one image, its ``Boxes``, or their ``(N, 6)`` rows; tensors or arrays.
        embeddings: ``(N, D)`` of the boxes, in their order, if there are any.

    Returns:
        The detections, in their order. Embeddings are scaled to unit norm.

    Raises:
        InputError: if the rows have neither 6 nor 7 columns, or the embeddings are not as many as the boxes.
    """
    rows: Any = _rows(results)  # Detections makes integers of the classes
    return Detections(
        rows[:, :4], rows[:, -2], rows[:, -1], None if embeddings is None else _unit_norm(_as_array(embeddings))
    )


def tracks_from_ultralytics(results: Any) -> Tracks:
    """Take tracks over from Ultralytics' ``model.track``.

    Args:
        results: ``Results`` of one image, its ``Boxes``, or their ``(M, 7)`` rows; tensors or arrays.

    Returns:
        The tracks; none where the boxes have no ids, as Ultralytics does in frames in which nothing is followed.

    Raises:
        InputError: if the rows have neither 6 nor 7 columns.
    """
    rows: Any = _rows(results)  # Tracks makes integers of ids and classes
    if rows.shape[1] == 6:
        return Tracks.empty()
    return Tracks(rows[:, :4], rows[:, 4], rows[:, 5], rows[:, 6], np.arange(len(rows)))


def tracks_from_rows(rows: Any) -> Tracks:
    """Read what ``update`` of Ultralytics' and BoxMOT's trackers returns.

    Args:
        rows: ``(M, 8)`` ``x1, y1, x2, y2, id, score, class, index of the detection``; a list without entries is empty.

    Returns:
        The tracks.

    Raises:
        InputError: if there are rows with another number of columns.
    """
    array: Any = np.asarray(rows, dtype=np.float64)  # Tracks makes integers of what must be some
    if not array.size:
        return Tracks.empty()
    if array.ndim != 2 or array.shape[1] != 8:
        msg = f"expected (M, 8) rows x1 y1 x2 y2 id score class index, got {array.shape}; oriented boxes are not read"
        raise InputError(msg)
    return Tracks(array[:, :4], array[:, 4], array[:, 5], array[:, 6], array[:, 7])


def to_boxmot(detections: Detections, frame_id: str = "frame") -> boxmot.structures.Detections:
    """Hand detections and their embeddings to a tracker of BoxMOT 25, which then runs no network of its own.

    Args:
        detections: what is handed over.
        frame_id: name that BoxMOT reports the frame by.

    Returns:
        ``boxmot.structures.Detections``. BoxMOT's tracks of them have ``to_aabb_rows()``, which
        :func:`tracks_from_rows` reads.

    Raises:
        InputError: if BoxMOT is not installed.
    """
    try:
        import torch
        from boxmot.structures import Boxes
        from boxmot.structures import Detections as BoxMOTDetections
    except ImportError as error:
        msg = f"BoxMOT cannot be imported ({error}): pip install 'boxmot>=25'"
        raise InputError(msg) from error
    embeddings = None if detections.embeddings is None else torch.from_numpy(detections.embeddings.copy())
    return BoxMOTDetections(
        geometry=Boxes(torch.from_numpy(detections.boxes.copy())),
        scores=torch.from_numpy(detections.scores.copy()),
        class_ids=torch.from_numpy(detections.labels.copy()),
        sample_id=frame_id,
        embeddings=embeddings,
    )


def _rows(results: Any) -> FloatArray:
    """Get the rows of ``Results``, ``Boxes`` or of an array."""
    boxes = getattr(results, "boxes", results)
    rows = _as_array(getattr(boxes, "data", boxes) if not isinstance(boxes, np.ndarray) else boxes)
    if rows.ndim != 2 or rows.shape[1] not in (6, 7):
        given = f"{type(results).__name__} {rows.shape}"
        msg = f"expected Results, Boxes or (N, 6) or (N, 7) rows of Ultralytics, got {given}"
        raise InputError(msg)
    return rows


def _as_array(values: Any) -> FloatArray:
    """Bring a tensor of any device, or an array, to a float32 array."""
    values = values.detach().cpu().float().numpy() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=np.float32)


def _unit_norm(embeddings: Any) -> FloatArray:
    """Scale embeddings to unit norm; zeros stay zeros."""
    rows = np.asarray(embeddings, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.finfo(np.float32).tiny)


def _confidences(found: supervision.Detections) -> FloatArray:
    """The confidences, which our structures cannot do without."""
    if found.confidence is None:
        msg = "supervision's detections have no confidence; trackers need one per box (confidence=np.ones(len(boxes)))"
        raise InputError(msg)
    return np.asarray(found.confidence, dtype=np.float32)


def _embeddings_of_tracks(tracks: Tracks, embeddings: FloatArray) -> FloatArray:
    """The embeddings of the detections that tracks are matched to, zeros where there is none."""
    of_tracks = np.zeros((len(tracks), embeddings.shape[1]), np.float32)
    matched = tracks.detection_indices >= 0
    of_tracks[matched] = embeddings[tracks.detection_indices[matched]]
    return of_tracks
