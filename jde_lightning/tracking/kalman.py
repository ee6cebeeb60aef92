"""Constant-velocity Kalman filter for many boxes at once, with the covariance kept as exact 2x2 blocks.

A box is measured as centre x, centre y, aspect ratio (width / height) and height; the state adds one velocity per
measured number, in units per frame. The motion couples each number with its own velocity only, and all noise is
diagonal, so the 8x8 covariance never is anything but four 2x2 blocks: every step is plain arithmetic on arrays and
needs no matrix inverse. :func:`warp`, which follows a moving camera, keeps it so.

A state is a float64 array ``(5, 4, N)``: the rows position, velocity, and the three different entries of the symmetric
2x2 block (variance of the position, covariance, variance of the velocity); then the four measured numbers; then the
boxes. Noise levels grow with the height of the box, as in SORT with deep association (Wojke et al., 2017) and in the
trackers of YOLO11-JDE.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CHI2_95_4DOF = 9.4877
"""95 % quantile of the chi-square distribution with four degrees of freedom: gate for squared distances."""

_SIDE_FLOOR = 1e-3  # pixels; keeps the aspect ratio and the noise of an empty box finite


def _std(of_height: tuple[float, ...], constant: tuple[float, ...]) -> tuple[Array, Array]:
    """Standard deviations ``of_height * height + constant`` of the four numbers, as two columns ``(4, 1)``."""
    return np.array(of_height)[:, None], np.array(constant)[:, None]


_PROCESS = (  # of position and velocity, (2, 4, 1)
    np.array([[1 / 20, 1 / 20, 0, 1 / 20], [1 / 160, 1 / 160, 0, 1 / 160]])[:, :, None],
    np.array([[0, 0, 1e-2, 0], [0, 0, 1e-5, 0]])[:, :, None],
)
_MEASUREMENT = _std((1 / 20, 1 / 20, 0, 1 / 20), (0, 0, 1e-1, 0))
_FIRST_POSITION = _std((2 / 20, 2 / 20, 0, 2 / 20), (0, 0, 1e-2, 0))
_FIRST_VELOCITY = _std((10 / 160, 10 / 160, 0, 10 / 160), (0, 0, 1e-5, 0))


def _variance(std: tuple[Array, Array], height: Array) -> Array:
    """Variances ``(4, N)``, or ``(2, 4, N)`` of the process, for boxes of ``height`` ``(N,)`` pixels."""
    deviation = std[0] * height
    deviation += std[1]
    return np.square(deviation, out=deviation)


def measure(boxes: npt.NDArray[np.float32]) -> Array:
    """Turn boxes into measurements.

    Args:
        boxes: ``(N, 4)`` xyxy pixels.

    Returns:
        ``(4, N)`` float64: centre x, centre y, width / height, height. Sides below a thousandth of a pixel are raised
        to it.
    """
    corners = boxes.T.astype(np.float64)
    sides = np.maximum(corners[2:] - corners[:2], _SIDE_FLOOR)
    out = np.empty_like(corners)
    out[:2] = corners[:2] + sides / 2
    out[2] = sides[0] / sides[1]
    out[3] = sides[1]
    return out


def to_boxes(state: Array) -> npt.NDArray[np.float32]:
    """Boxes of the states.

    Args:
        state: ``(5, 4, N)``.

    Returns:
        ``(N, 4)`` float32 xyxy pixels.
    """
    x, y, aspect, height = state[0]
    half_height = height / 2
    half_width = aspect * half_height
    boxes = np.empty((state.shape[2], 4), np.float32)
    boxes[:, 0] = x - half_width
    boxes[:, 1] = y - half_height
    boxes[:, 2] = x + half_width
    boxes[:, 3] = y + half_height
    return boxes


def initiate(measurements: Array) -> Array:
    """First states, with velocity zero.

    Args:
        measurements: ``(4, N)``, see :func:`measure`.

    Returns:
        ``(5, 4, N)`` states.
    """
    state = np.zeros((5, *measurements.shape))
    state[0] = measurements
    state[2] = _variance(_FIRST_POSITION, measurements[3])
    state[4] = _variance(_FIRST_VELOCITY, measurements[3])
    return state


def predict(state: Array) -> Array:
    """Move the states one frame on.

    Args:
        state: ``(5, 4, N)``; not changed.

    Returns:
        ``(5, 4, N)`` predicted states.
    """
    position, velocity, p00, p01, p11 = state
    noise = _variance(_PROCESS, position[3])
    out = np.empty_like(state)
    np.add(position, velocity, out=out[0])
    out[1] = velocity
    np.add(p01, p11, out=out[3])
    np.add(p00, p01, out=out[2])
    out[2] += out[3]
    out[2] += noise[0]
    np.add(p11, noise[1], out=out[4])
    return out


def warp(state: Array, transform: Array) -> Array:
    """Move the states along with the image, as a moving camera moves it.

    Centre and velocity go through the whole transform; height and its velocity grow with its scale, the square root of
    the determinant; the aspect ratio stays. Variances grow with the square of the scale. For translation, rotation and
    uniform scale that is exact where the centre is concerned, and the blocks survive: the filter treats x and y alike,
    so their blocks are equal for ever, and a rotation leaves an isotropic covariance as it is. What is neglected is
    that an upright box around a person who leans in the image grows a little wider, and shear: both tiny from frame to
    frame.

    Args:
        state: ``(5, 4, N)``; not changed.
        transform: ``(2, 3)`` affine from the pixels of the previous frame to those of this one.

    Returns:
        ``(5, 4, N)`` states in the pixels of this frame.
    """
    linear, shift = transform[:, :2], transform[:, 2:]
    area = abs(float(np.linalg.det(linear)))
    out = state.copy()
    out[0, :2] = linear @ state[0, :2] + shift
    out[1, :2] = linear @ state[1, :2]
    out[:2, 3] *= np.sqrt(area)
    out[2:, [0, 1, 3]] *= area
    return out


def innovation_variance(state: Array) -> Array:
    """Variances ``(4, N)`` of a measurement around the states ``(5, 4, N)``."""
    return state[2] + _variance(_MEASUREMENT, state[0, 3])


def update(state: Array, measurements: Array) -> Array:
    """Correct predicted states by one measurement each.

    Args:
        state: ``(5, 4, N)``; not changed.
        measurements: ``(4, N)``, see :func:`measure`.

    Returns:
        ``(5, 4, N)`` corrected states.
    """
    gain = state[2:4] / innovation_variance(state)
    out = state.copy()
    out[:2] += gain * (measurements - state[0])
    out[2:4] -= gain[0] * state[2:4]
    out[4] -= gain[1] * state[3]
    return out


def gating_distance(state: Array, measurements: Array) -> Array:
    """Squared Mahalanobis distance of every state to every measurement.

    The square is expanded, so that all pairs come out of one matrix product; the cancellation costs about six of the
    sixteen digits.

    Args:
        state: ``(5, 4, N)`` predicted states.
        measurements: ``(4, M)``.

    Returns:
        ``(N, M)`` float64; compare with :data:`CHI2_95_4DOF`.
    """
    precision = 1 / innovation_variance(state)
    weighted = precision * state[0]
    left = np.concatenate((precision, -2 * weighted, (weighted * state[0]).sum(axis=0)[None]))
    right = np.concatenate((np.square(measurements), measurements, np.ones((1, measurements.shape[1]))))
    return left.T @ right


def paired_gating_distance(
    state: Array, measurements: Array, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> Array:
    """Squared Mahalanobis distance of chosen pairs.

    Args:
        state: ``(5, 4, N)`` predicted states.
        measurements: ``(4, M)``.
        rows: ``(P,)`` state of each pair.
        columns: ``(P,)`` measurement of each pair.

    Returns:
        ``(P,)`` float64.
    """
    offset = measurements.take(columns, axis=1) - state[0].take(rows, axis=1)
    np.square(offset, out=offset)
    offset /= innovation_variance(state).take(rows, axis=1)
    return offset.sum(axis=0)
