"""How the camera moved between two frames, estimated from the background of the images.

The only file of the trackers that needs OpenCV, and it asks for it when an estimator is made: a tracker without camera
motion runs where OpenCV is not installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError

Image = npt.NDArray[np.uint8]
Transform = npt.NDArray[np.float64]
CameraMotion = Literal["none", "sparse_flow", "ecc"]

_BACKGROUND, _FOREGROUND = 255, 0
_FLOW_SIDE = 640  # pixels of the longer side of the image that corners are followed in
_ECC_SIDE = 320  # likewise for the correlation, which takes every pixel in every iteration
_MAX_CORNERS = 400
_CORNER_QUALITY = 0.01  # of the best corner's score
_MIN_CORNERS = 8  # with fewer, or with fewer that agree, a transform is a guess
_RANSAC_PIXELS = 1.5  # by how much a corner may disagree, in pixels of the small image
_ECC_ITERATIONS, _ECC_PRECISION = 50, 1e-4
_ECC_BLUR = 5  # side in pixels of the Gaussian that widens the range of convergence
_SCALES = (0.5, 2.0)  # zoom from frame to frame; beyond it the estimate is wrong


class CameraMotionEstimator(ABC):
    """Estimates, frame after frame, the transform from the previous frame's pixels to those of the new one.

    Detections are masked out, since people move on their own. Where nothing can be said (first frame, no texture, a
    cut), the answer is the identity: no correction.
    """

    _side: int

    def __init__(self) -> None:
        import cv2  # noqa: F401  # fails here, and not in the middle of a video, where OpenCV is missing

        self._previous: Any = None  # the image before, as OpenCV takes it
        self.reset()

    def reset(self) -> None:
        """Forget the previous frame."""
        self._shape: tuple[int, ...] | None = None

    def estimate(self, image: Image, boxes: npt.NDArray[np.float32]) -> Transform:
        """Take in the next frame.

        Args:
            image: ``(H, W, 3)`` uint8 BGR, or ``(H, W)`` grey.
            boxes: ``(N, 4)`` xyxy pixels of what moves on its own.

        Returns:
            ``(2, 3)`` float64 affine transform: ``new = transform @ (x, y, 1)``, in pixels of ``image``.

        Raises:
            InputError: if the image is not uint8 of one of these shapes, or of another size than before.
        """
        import cv2

        self._check(image)
        factor = min(1.0, self._side / max(image.shape[:2]))
        small: Any = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if factor < 1:
            small = cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found = self._estimate(small, _background(small.shape, boxes * factor), first=self._shape is None)
        self._shape = image.shape
        if found is None or not _SCALES[0] < np.sqrt(max(np.linalg.det(found[:, :2]), 0)) < _SCALES[1]:
            return np.eye(2, 3)
        # The centre of pixel 0 lies half a pixel from the border in either image.
        border = (factor - 1) / 2
        found[:, 2] = (found[:, 2] + found[:, :2].sum(axis=1) * border - border) / factor
        return found

    @abstractmethod
    def _estimate(self, small: Image, background: Image, *, first: bool) -> Transform | None:
        """Transform ``(2, 3)`` float64 from the frame before to ``small``; ``None`` where it cannot be found."""

    def _check(self, image: Image) -> None:
        """Refuse what is no image, or not one of this video."""
        fits = isinstance(image, np.ndarray) and image.dtype == np.uint8
        if not fits or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            what = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            msg = f"camera motion needs images that are uint8 of shape (H, W, 3) or (H, W), got {what}"
            raise InputError(msg)
        if self._shape is not None and self._shape != image.shape:
            msg = f"the image has shape {image.shape}, that of the frame before {self._shape}: reset() between videos"
            raise InputError(msg)


class SparseFlow(CameraMotionEstimator):
    """Corners of the background, followed by pyramidal Lucas-Kanade flow; a similarity transform by RANSAC.

    The usual choice: finds translation, zoom and rotation, also fast ones; 10 ms of one core for 1920 x 1080.
    """

    _side = _FLOW_SIDE
    _corners: npt.NDArray[np.float32]

    def _estimate(self, small: Image, background: Image, *, first: bool) -> Transform | None:
        import cv2

        transform: Transform | None = None
        if not first and len(self._corners) >= _MIN_CORNERS:
            moved, found, _ = cv2.calcOpticalFlowPyrLK(self._previous, small, self._corners, None)
            found = found.ravel().astype(bool)
            if found.sum() >= _MIN_CORNERS:
                transform, inliers = cv2.estimateAffinePartial2D(
                    self._corners[found], moved[found], method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PIXELS
                )
                transform = transform if transform is not None and inliers.sum() >= _MIN_CORNERS else None
        distance = max(3, _FLOW_SIDE // 100)
        corners = cv2.goodFeaturesToTrack(small, _MAX_CORNERS, _CORNER_QUALITY, distance, mask=background)
        self._corners = np.zeros((0, 1, 2), np.float32) if corners is None else corners
        self._previous = small
        return transform


class ECC(CameraMotionEstimator):
    """Affine transform of the largest enhanced correlation coefficient (Evangelidis and Psarakis, 2008).

    Uses every pixel of the background: more exact than :class:`SparseFlow`, about as fast, and fine where corners are
    rare; but it finds small movements only, of a few per cent of the image from frame to frame.
    """

    _side = _ECC_SIDE

    def _estimate(self, small: Image, background: Image, *, first: bool) -> Transform | None:
        import cv2

        transform = None
        if not first:
            criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_ITERATIONS, _ECC_PRECISION)
            try:
                _, found = cv2.findTransformECC(
                    self._previous,
                    small,
                    np.eye(2, 3, dtype=np.float32),
                    cv2.MOTION_AFFINE,
                    criteria,
                    background,
                    _ECC_BLUR,
                )
                transform = found.astype(np.float64)
            except cv2.error:
                transform = None  # OpenCV's way to say that the iteration did not converge
        self._previous = small
        return transform


_ESTIMATORS: dict[str, type[CameraMotionEstimator]] = {"sparse_flow": SparseFlow, "ecc": ECC}


def make_estimator(name: CameraMotion) -> CameraMotionEstimator | None:
    """Make an estimator by name.

    Args:
        name: ``none``, ``sparse_flow`` or ``ecc``.

    Returns:
        The estimator; ``None`` for ``none``.

    Raises:
        InputError: if there is no such estimator, or OpenCV is missing.
    """
    if name == "none":
        return None
    if name not in _ESTIMATORS:
        msg = f"camera_motion must be one of none, {', '.join(_ESTIMATORS)}, got {name!r}"
        raise InputError(msg)
    try:
        return _ESTIMATORS[name]()
    except ImportError as error:
        msg = f"camera_motion: {name} needs OpenCV, which is not installed: pip install opencv-python"
        raise InputError(msg) from error


def check_transform(transform: npt.ArrayLike) -> Transform:
    """Return a transform of the image as a ``(2, 3)`` float64 array.

    Raises:
        InputError: if it is not finite, of another shape, or turns the image inside out.
    """
    try:
        matrix = np.asarray(transform, np.float64)
    except (TypeError, ValueError) as error:
        msg = f"camera_motion must be a (2, 3) affine transform of pixels, got {transform!r}"
        raise InputError(msg) from error
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or np.linalg.det(matrix[:, :2]) <= 0:
        what = f"{matrix.tolist()}" if matrix.shape == (2, 3) else f"an array of shape {matrix.shape}"
        msg = (
            f"camera_motion must be a finite (2, 3) affine transform with a determinant above 0, got {what}; of a "
            "3x3 matrix give the first two rows"
        )
        raise InputError(msg)
    return matrix


def _background(shape: tuple[int, ...], boxes: npt.NDArray[np.floating]) -> Image:
    """Mask of ``shape``: 255 outside of all boxes, 0 inside."""
    mask = np.full(shape, _BACKGROUND, np.uint8)
    limits = np.array([shape[1], shape[0], shape[1], shape[0]])
    corners = np.clip(boxes, 0, limits)
    corners[:, :2] = np.floor(corners[:, :2])
    for x1, y1, x2, y2 in np.ceil(corners).astype(np.intp):
        mask[y1:y2, x1:x2] = _FOREGROUND
    return mask
