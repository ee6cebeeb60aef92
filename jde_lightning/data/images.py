"""Images from files: decoding, resizing, letterboxing, and a small memory of decoded tiles.

One policy for orientation everywhere: the EXIF tag is ignored, for sizes and for pixels alike. Annotations are in the
pixels that are stored in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import Letterbox

ImageArray = npt.NDArray[np.uint8]

PADDING = 114
"""Grey value of everything that is not image."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_ORIENTATION = 0x0112  # the EXIF tag
_JPEG_START = b"\xff\xd8"
# The JPEG decoder can skip the high frequencies: an image of 1/2, 1/4 or 1/8 of the size for a fraction of the time.
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


def image_size(path: Path) -> tuple[int, int]:
    """Read the size of an image from its header, without decoding it.

    Args:
        path: the image file.

    Returns:
        Width and height in pixels as stored, whatever the EXIF orientation says.

    Raises:
        InputError: if the file is missing or no image.
    """
    from PIL import Image, UnidentifiedImageError  # Pillow reads headers only; exported networks run without it

    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError as error:
        raise InputError(_missing(path)) from error
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(_undecodable(path)) from error


def is_rotated(path: Path) -> bool:
    """Whether a JPEG's EXIF tag asks viewers to turn or mirror it, which nothing in this package does.

    Args:
        path: the image file; other formats than JPEG are taken as not rotated, because for some of them the answer
            costs decoding the pixels.

    Returns:
        ``True`` for the orientations 2 to 8; ``False`` also for a file that cannot be read.
    """
    from PIL import Image, UnidentifiedImageError  # as in image_size

    try:
        with Image.open(path) as image:
            return image.format in ("JPEG", "MPO") and image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):  # broken EXIF raises what it likes
        return False


def decode(path: Path, max_size: int | None = None, size: tuple[int, int] | None = None) -> ImageArray:
    """Decode an image file.

    Args:
        path: the image file.
        max_size: the long side in pixels that will be needed; a JPEG is then decoded at 1/2, 1/4 or 1/8 of its size
            if that is still at least as large. ``None`` decodes at full size.
        size: width and height if they are known, which saves reading the header.

    Returns:
        ``(H, W, 3)`` uint8 BGR.

    Raises:
        InputError: if the file is missing or cannot be decoded.
    """
    data = _read(path)
    flag = cv2.IMREAD_COLOR
    if max_size is not None and _is_jpeg(data):
        flag = dict(REDUCED).get(reduction(*(size or _header_size(path, data)), max_size), flag)
    return _decode(path, data, flag)


def reduction(width: int, height: int, size: int) -> int:
    """How many times smaller an image may be decoded, 8, 4, 2 or 1, with a long side of at least ``size`` pixels."""
    return next((factor for factor, _ in REDUCED if max(width, height) // factor >= size), 1)


def decode_reduced(path: Path, factor: int) -> ImageArray:
    """Decode an image file at a fraction of its size.

    Args:
        path: the image file.
        factor: 1, 2, 4 or 8. A JPEG is decoded so; another format is decoded whole and averaged.

    Returns:
        ``(ceil(H / factor), ceil(W / factor), 3)`` uint8 BGR. Each pixel stands for a block of ``factor`` x ``factor``.

    Raises:
        InputError: if the file is missing or cannot be decoded.
    """
    data = _read(path)
    flag = dict(REDUCED).get(factor, cv2.IMREAD_COLOR) if _is_jpeg(data) else cv2.IMREAD_COLOR
    image = _decode(path, data, flag)
    if factor == 1 or flag != cv2.IMREAD_COLOR:
        return image
    height, width = image.shape[:2]
    blocks = cv2.copyMakeBorder(image, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    size = (blocks.shape[1] // factor, blocks.shape[0] // factor)
    return cv2.resize(blocks, size, interpolation=cv2.INTER_AREA)


def resize_long_side(image: ImageArray, size: int) -> ImageArray:
    """Resize so that the long side is ``size`` pixels, with Ultralytics' rounding (up, but never above ``size``).

    Args:
        image: ``(H, W, 3)`` uint8.
        size: pixels of the long side.

    Returns:
        ``(h, w, 3)`` uint8; the same array if nothing is to be done.
    """
    height, width = image.shape[:2]
    new = tile_size(width, height, size)
    return image if new == (width, height) else cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)


def tile_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height of an image of ``width`` x ``height`` after :func:`resize_long_side`."""
    gain = size / max(width, height)
    return min(math.ceil(width * gain), size), min(math.ceil(height * gain), size)


def letterbox_shape(width: int, height: int, size: int, stride: int = 32, square: bool = False) -> tuple[int, int]:
    """Height and width of the network's input for an image of ``width`` x ``height``; see :func:`letterbox`.

    Raises:
        InputError: if ``size`` is no multiple of ``stride``.
    """
    if size % stride or size <= 0:
        msg = f"image_size is {size}, it must be a multiple of the network's stride {stride}, for example "
        raise InputError(msg + f"{max(1, round(size / stride)) * stride}")
    if square:
        return size, size
    new_width, new_height = _fitted(width, height, size / max(width, height))
    return math.ceil(new_height / stride) * stride, math.ceil(new_width / stride) * stride


def letterbox(image: ImageArray, size: int, stride: int = 32, square: bool = False) -> tuple[ImageArray, Letterbox]:
    """Fit an image into the network's input: resize its long side to ``size``, pad grey around the centre.

    Args:
        image: ``(H, W, 3)`` uint8.
        size: long side of the result in pixels, a multiple of ``stride``.
        stride: the sides of the result are multiples of it.
        square: pad to ``size`` x ``size`` instead of the smallest rectangle.

    Returns:
        The ``(h, w, 3)`` uint8 input and how boxes move between the two.

    Raises:
        InputError: if ``size`` is no multiple of ``stride``.
    """
    height, width = image.shape[:2]
    out_height, out_width = letterbox_shape(width, height, size, stride, square)
    return _padded(image, size / max(width, height), out_height, out_width)


def letterbox_into(image: ImageArray, height: int, width: int) -> tuple[ImageArray, Letterbox]:
    """Fit an image into a network's input of one fixed size: as large as fits, grey around the centre.

    Where ``height`` and ``width`` are what :func:`letterbox_shape` gives for the image, the result is that of
    :func:`letterbox`.

    Args:
        image: ``(H, W, 3)`` uint8.
        height: of the input in pixels.
        width: of the input in pixels.

    Returns:
        The ``(height, width, 3)`` uint8 input and how boxes move between the two.
    """
    gains = height / image.shape[0], width / image.shape[1]
    new_width, new_height = _fitted(image.shape[1], image.shape[0], max(gains))
    # The larger one fits too if only a fraction of a pixel is cut off by rounding.
    gain = max(gains) if new_width <= width and new_height <= height else min(gains)
    return _padded(image, gain, height, width)


def to_rgb_planes(image: ImageArray) -> ImageArray:
    """Turn ``(H, W, 3)`` BGR into contiguous ``(3, H, W)`` RGB, the layout of the network."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, [planes[2], planes[1], planes[0]])  # writes into the planes
    return planes


class TileCache:
    """The images decoded last, up to a number of them. It saves time and never changes a result.

    The oldest goes first, however often it was used: the mosaics' queue forgets images in the order in which it got
    them, and forgetting the least used first would keep those that can never come again.

    Args:
        capacity: how many images are kept; 0 keeps none. A 1080p image takes 2.1 MB for samples of 640 pixels, and
            8.3 MB, because it is decoded whole, for 1280.
        max_bytes: how much memory they may take.
    """

    def __init__(self, capacity: int, max_bytes: float = math.inf) -> None:
        self.capacity = capacity
        self.max_bytes = max_bytes
        self._images: dict[int, ImageArray] = {}
        self._bytes = 0
        self._spare: ImageArray | None = None

    def get(self, key: int, load: Callable[[ImageArray | None], ImageArray]) -> ImageArray:
        """Return an image, loading it if it is not kept.

        Args:
            key: number of the image.
            load: returns the image. It is given an image that was forgotten, if there is one, whose memory it may use:
                new memory takes longer to get than an image to convert.

        Returns:
            The image, valid until the next one is asked for. The caller must not write into it.
        """
        image = self._images.get(key)
        if image is None:
            spare, self._spare = self._spare, None
            image = load(spare)
            self.put(key, image)
        return image

    def put(self, key: int, image: ImageArray) -> None:
        """Keep an image that is not kept yet, and forget the oldest ones that there is no room for."""
        self._images[key] = image
        self._bytes += image.nbytes
        while self._images and (len(self._images) > self.capacity or self._bytes > self.max_bytes):
            self._spare = self._images.pop(next(iter(self._images)))
            self._bytes -= self._spare.nbytes

    def __contains__(self, key: int) -> bool:
        """Whether an image is kept."""
        return key in self._images

    def __len__(self) -> int:
        """Number of images kept."""
        return len(self._images)

    def __getstate__(self) -> tuple[int, float]:
        """Go to worker processes empty: each fills its own."""
        return self.capacity, self.max_bytes

    def __setstate__(self, state: tuple[int, float]) -> None:
        """Arrive empty."""
        self.__init__(*state)  # type: ignore[misc]


def _read(path: Path) -> npt.NDArray[np.uint8]:
    try:
        return np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise InputError(_missing(path)) from error


def _is_jpeg(data: npt.NDArray[np.uint8]) -> bool:
    return data[:2].tobytes() == _JPEG_START


def _decode(path: Path, data: npt.NDArray[np.uint8], flag: int) -> ImageArray:
    image = cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise InputError(_undecodable(path))
    return image


def _fitted(width: int, height: int, gain: float) -> tuple[int, int]:
    """Width and height times ``gain``, rounded to nearest, at least one pixel."""
    return max(round(width * gain), 1), max(round(height * gain), 1)


def _padded(image: ImageArray, gain: float, out_height: int, out_width: int) -> tuple[ImageArray, Letterbox]:
    """Resize an image by ``gain`` and pad it with grey to a size in which it fits."""
    height, width = image.shape[:2]
    new = _fitted(width, height, gain)
    if new != (width, height):
        image = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)
    left, top = (out_width - new[0]) // 2, (out_height - new[1]) // 2
    right, bottom = out_width - new[0] - left, out_height - new[1] - top
    padded = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(PADDING,) * 3)
    return padded, Letterbox(gain, left, top)


def _header_size(path: Path, data: npt.NDArray[np.uint8]) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError  # as in image_size

    try:
        with Image.open(BytesIO(data.tobytes())) as image:
            return image.size
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(_undecodable(path)) from error


def _missing(path: Path) -> str:
    return f"{path}: no such image; was the dataset moved or only partly unpacked?"


def _undecodable(path: Path) -> str:
    return f"{path}: cannot be read as an image; the file is damaged or no image, unpack or download it again"
