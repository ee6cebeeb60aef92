"""Small pictures by number in one ZIP file, which any program opens, written and read without a list of them in memory.

``zipfile`` keeps an object for every member, half a kilobyte each: of a million crops more than their embeddings. Here
the directory is collected in a file, and whoever knows where a member lies reads it without the directory.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError

Picture = npt.NDArray[np.uint8]

CROP_SIZE = (64, 128)
"""Width and height in pixels that a crop is fitted into; twice as high as wide, as people stand."""

_QUALITY = 90
_PADDING = 114
_LIMIT = 0xFFFFFFFF  # of what 32 bits hold; larger numbers go to the extra field of ZIP64
_MANY = 0xFFFF
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_VERSION, _VERSION64 = 20, 45
_DATE = (1980 - 1980) << 9 | 1 << 5 | 1  # the first of January 1980: files of equal crops are equal


class CropPlace(NamedTuple):
    """Where a crop lies in its archive.

    Attributes:
        offset: first byte of the JPEG.
        size: number of its bytes.
    """

    offset: int
    size: int


class CropWriter:
    """Writes crops one after the other as ``00000000.jpg``, ``00000001.jpg``, ... into a ZIP file, uncompressed.

    As a context manager it completes the file; after an exception the file is useless.

    Args:
        path: of the file.
        size: width and height in pixels that a crop is fitted into.
    """

    def __init__(self, path: Path, size: tuple[int, int] = CROP_SIZE) -> None:
        self.size = size
        self.count = 0
        self._file = path.open("wb")
        self._directory = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # closed on exit

    def __enter__(self) -> CropWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the directory, and close."""
        with self._file, self._directory:
            if kind is None:
                self._finish()

    def add(self, image: Picture, box: npt.NDArray[np.floating]) -> CropPlace:
        """Cut a box out of an image, and append it.

        Args:
            image: ``(H, W, 3)`` uint8 BGR.
            box: ``(4,)`` xyxy pixels; its part inside the image is taken.

        Returns:
            Where it lies.
        """
        encoded, jpeg = cv2.imencode(".jpg", cut_crop(image, box, self.size), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not encoded:
            msg = "OpenCV could not encode a crop as JPEG"
            raise RuntimeError(msg)
        data, name = jpeg.tobytes(), f"{self.count:08d}.jpg".encode()
        start, size, checksum = self._file.tell(), len(data), zlib.crc32(data)
        common = (0, 0, 0, _DATE, checksum, size, size, len(name))
        self._file.write(_LOCAL.pack(b"PK\3\4", _VERSION, *common, 0) + name)
        place = CropPlace(self._file.tell(), size)
        self._file.write(data)
        far = start >= _LIMIT
        extra = struct.pack("<2HQ", 1, 8, start) if far else b""
        version = _VERSION64 if far else _VERSION
        fields = (version, version, *common, len(extra), 0, 0, 0, 0, _LIMIT if far else start)
        self._directory.write(_CENTRAL.pack(b"PK\1\2", *fields) + name + extra)
        self.count += 1
        return place

    def _finish(self) -> None:
        """Append the directory, and what tells where it is."""
        start, size = self._file.tell(), self._directory.tell()
        self._directory.seek(0)
        while part := self._directory.read(1 << 20):
            self._file.write(part)
        if self.count >= _MANY or start + size >= _LIMIT:
            rest = (_VERSION64, _VERSION64, 0, 0, self.count, self.count, size, start)
            self._file.write(_END64.pack(b"PK\6\6", _END64.size - 12, *rest))
            self._file.write(_LOCATOR.pack(b"PK\6\7", 0, start + size, 1))
        count = min(self.count, _MANY)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, min(size, _LIMIT), min(start, _LIMIT), 0))


class CropArchive:
    """Crops of an archive by the row of their box.

    Args:
        path: the file.
        offsets: ``(N,)`` int64 first byte of each JPEG.
        sizes: ``(N,)`` int64 number of its bytes.
    """

    def __init__(self, path: Path, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        self.path = path
        self._offsets = offsets
        self._sizes = sizes

    def __len__(self) -> int:
        """Number of crops."""
        return len(self._offsets)

    def __getitem__(self, row: int) -> Picture:
        """Return the crop of a row, ``(H, W, 3)`` uint8 BGR; errors as for :meth:`jpeg`."""
        picture = cv2.imdecode(np.frombuffer(self.jpeg(row), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(self._broken(row))
        return np.asarray(picture, np.uint8)

    def jpeg(self, row: int) -> bytes:
        """Return the crop of a row as the bytes of a JPEG file.

        Raises:
            InputError: if there is no such row, the archive is missing, or it is not that of the table.
        """
        if not 0 <= row < len(self):
            msg = f"row {row}: there are {len(self)} crops, the rows 0 to {len(self) - 1}"
            raise InputError(msg)
        try:
            with self.path.open("rb") as file:
                file.seek(int(self._offsets[row]))
                data = file.read(int(self._sizes[row]))
        except FileNotFoundError as error:
            msg = f"{self.path}: the crops are missing; they belong beside the embeddings: write both with `embed`"
            raise InputError(msg) from error
        if len(data) != self._sizes[row] or data[:2] != b"\xff\xd8":
            raise InputError(self._broken(row))
        return data

    def _broken(self, row: int) -> str:
        return f"{self.path}: no crop of row {row} where the table says; is the archive of another table, or cut short?"


def cut_crop(image: Picture, box: npt.NDArray[np.floating], size: tuple[int, int] = CROP_SIZE) -> Picture:
    """Cut a box out of an image and shrink or enlarge it until it fits, its shape kept.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        box: ``(4,)`` xyxy pixels; its part inside the image is taken.
        size: width and height in pixels that the crop is fitted into.

    Returns:
        ``(h, w, 3)`` uint8 BGR of at most that size, grey where the box is outside of the image.
    """
    height, width = image.shape[:2]
    corners = np.nan_to_num(np.asarray(box, np.float64), nan=0.0)
    left, top = np.floor(np.clip(corners[:2], 0, (width, height))).astype(int).tolist()
    right, bottom = np.ceil(np.clip(corners[2:], 0, (width, height))).astype(int).tolist()
    if right <= left or bottom <= top:
        return np.full((size[1], size[0], 3), _PADDING, np.uint8)
    gain = min(size[0] / (right - left), size[1] / (bottom - top))
    fitted = (max(1, round((right - left) * gain)), max(1, round((bottom - top) * gain)))
    way = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image[top:bottom, left:right], fitted, interpolation=way), np.uint8)
