"""What readers share that find the labels of an image in a text file of its own, in a folder beside ``images``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.copies import COPIES_LEFT_OUT, one_copy
from jde_lightning.data.readers.folders import Folders
from jde_lightning.data.readers.normalized import Row, check_boxes, fractions_to_pixels, read_rows
from jde_lightning.data.readers.sequence_folders import video_frames
from jde_lightning.errors import InputError
from jde_lightning.structures import FrameAnnotations, IntArray, Role

IMAGES = "images"
"""The folder in an image's path that the folder of labels takes the place of."""

NO_LABELS = frozenset({"classes.txt"})
"""Text files that labelling tools write into the folder of labels and that belong to no image."""

_TOLD = 5  # broken label files that are told together
_LOOK_ON = 10_000  # images in which others are looked for: nobody is to wait long for an error that is known


class LabelledImage(NamedTuple):
    """An image, the file with its labels, and its place in a video.

    Attributes:
        image: the image file.
        labels: the label file; ``None`` if there is none, which means an image without boxes.
        sequence: name of the video, ``None`` for a single image.
        frame: number of the frame in the video.
    """

    image: Path
    labels: Path | None
    sequence: str | None = None
    frame: int = 0


class LabelColumns(NamedTuple):
    """The columns of one label file.

    Attributes:
        boxes: ``(N, 4)`` float64 centre x, centre y, width, height in fractions of the image size.
        labels: ``(N,)`` int64.
        identities: ``(N,)`` int64, ``NO_IDENTITY`` where there is none.
        roles: ``(N,)`` int8.
    """

    boxes: npt.NDArray[np.float64]
    labels: IntArray
    identities: IntArray
    roles: npt.NDArray[np.int8]


class TextLabels(Reader):
    """Base class of readers of one label file per image.

    Subclasses say how the folder of labels is called, what the columns of a line are, and which images there are. An
    image without a label file has no boxes. Rows that a label file repeats are dropped; boxes without area become
    IGNORE, because nobody can find them.

    Args:
        name: see :class:`~jde_lightning.data.readers.base.Reader`.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        sequence_from_folder: whether the images of a folder are the frames of a video, see
            :func:`~jde_lightning.data.readers.sequence_folders.video_frames`; one of MOT17's identical copies is read.
        frame_rate: frames per second of these videos.

    Attributes:
        label_folder: what takes the place of the last folder called ``images`` in the path of an image.
        columns: what a line consists of, for error messages.
        without_folder: whether labels lie beside the image if no folder of its path is called ``images``.

    Raises:
        InputError: if the frame rate is not positive.
    """

    label_folder: ClassVar[str]
    columns: ClassVar[str]
    without_folder: ClassVar[bool] = False

    def __init__(self, name: str, supervision: Supervision, sequence_from_folder: bool, frame_rate: float) -> None:
        super().__init__(name, supervision)
        if frame_rate <= 0:
            msg = f"frame_rate of {name} is {frame_rate:g}, expected frames per second above 0"
            raise InputError(msg)
        self.sequence_from_folder = sequence_from_folder
        self.frame_rate = frame_rate

    def parse(self, rows: dict[Row, int], file: Path) -> LabelColumns:
        """Tell the columns of a label file apart; what subclasses implement.

        Args:
            rows: the rows, with their line numbers.
            file: the label file, for messages.

        Raises:
            InputError: if a row is not as documented; the message names its line.
        """
        raise NotImplementedError

    def distinct(self, images: Iterable[Path]) -> list[Path]:
        """Take each image once, the first time that it comes, and note how many came again."""
        listed = list(images)
        once = list(dict.fromkeys(listed))
        if len(once) < len(listed):
            self.findings.notes["images listed more than once, read once"] += len(listed) - len(once)
        return once

    def labelled(self, images: Sequence[Path], folders: Folders, source: Path) -> list[LabelledImage]:
        """Find the label files of images, and their places in videos.

        Args:
            images: the images, each once.
            folders: finds files.
            source: list or folder that the images come from, for messages.

        Raises:
            InputError: if there is no label file at all although somebody expects labels.
        """
        placed = [LabelledImage(image, self._label_file(image, folders)) for image in images]
        unlabelled = [item.image for item in placed if item.labels is None]
        if unlabelled and len(unlabelled) == len(placed):
            self._refuse_unlabelled(unlabelled, folders, source)
        if unlabelled:
            self.findings.notes["images without label file, read as images without boxes"] += len(unlabelled)
        if not self.sequence_from_folder:
            return placed
        labels = {item.image: item.labels for item in placed}
        videos = video_frames(images)
        kept = one_copy(frame.sequence for frame in videos)
        frames = [frame for frame in videos if frame.sequence in kept]
        if len(frames) < len(videos):
            self.findings.notes[COPIES_LEFT_OUT] += len(videos) - len(frames)
        return [LabelledImage(image, labels[image], sequence, number) for image, sequence, number in frames]

    def annotated(self, items: Iterable[LabelledImage]) -> Iterator[FrameAnnotations]:
        """Read the label files of images that can be opened.

        Raises:
            InputError: if label files are broken; the message says what is wrong with the first, and where the next
                ones are wrong, so that they can be corrected together.
        """
        errors: list[InputError] = []
        looked_on = 0
        for item in items:
            size = self.size_of(item.image)
            if size is not None:
                try:
                    frame = self._frame(item, *size)
                except InputError as error:
                    errors.append(error)
                else:
                    if not errors:
                        yield frame
            looked_on += bool(errors)
            if len(errors) > _TOLD or looked_on == _LOOK_ON:
                break
        if len(errors) == 1:
            raise errors[0]
        if errors:
            places = ", ".join(str(error).split(": ", 1)[0] for error in errors[1:_TOLD])
            msg = f"{errors[0]}; also wrong: {places}{' and more' if len(errors) > _TOLD else ''}"
            raise InputError(msg) from errors[0]

    def _frame(self, item: LabelledImage, width: int, height: int) -> FrameAnnotations:
        rows: dict[Row, int] = {}
        if item.labels is not None:
            rows, repeated = read_rows(self.findings.use(item.labels), self.columns)
            if repeated:
                self.findings.dropped["repeated row of a label file"] += repeated
                self.findings.notes["label files with repeated rows (written twice?)"] += 1
        if rows:
            boxes, labels, identities, roles = self.parse(rows, item.labels or item.image)
            check_boxes(boxes, list(rows.values()), item.labels or item.image)
            flat = (boxes[:, 2:] == 0).any(axis=1) & (roles == Role.POSITIVE)
            if flat.any():
                self.findings.notes["boxes without area, ignored"] += int(np.count_nonzero(flat))
                roles[flat] = Role.IGNORE
        else:
            boxes, roles = np.zeros((0, 4)), np.zeros(0, np.int8)
            labels = identities = np.zeros(0, np.int64)
        return FrameAnnotations(
            image_path=item.image,
            width=width,
            height=height,
            boxes=fractions_to_pixels(boxes, width, height),
            labels=labels,
            identities=identities,
            roles=roles,
            visibility=np.ones(len(boxes), np.float32),
            dataset=self.name,
            sequence=item.sequence,
            frame=item.frame,
            frame_rate=self.frame_rate,
        )

    def _label_file(self, image: Path, folders: Folders) -> Path | None:
        return folders.file(self.label_path(image))

    def label_path(self, image: Path) -> Path:
        """Say where the labels of an image are to be: the last folder ``images`` of its path is replaced, no other.

        Raises:
            InputError: if no folder of the path is called ``images`` and the format wants one.
        """
        parts = image.parts[:-1]
        last = next((i for i in reversed(range(len(parts))) if parts[i].lower() == IMAGES), None)
        if last is None:
            if self.without_folder:
                return image.with_suffix(".txt")
            msg = (
                f"{image}: no folder of this path is called {IMAGES!r}, expected .../{IMAGES}/.../{image.name} with "
                f"its labels in .../{self.label_folder}/.../{image.stem}.txt; rename or move the folder"
            )
            raise InputError(msg)
        return Path(*parts[:last], self.label_folder, *parts[last + 1 :], f"{image.stem}.txt")

    def _refuse_unlabelled(self, images: Sequence[Path], folders: Folders, source: Path) -> None:
        """Tell background images, whose folders of labels are there and empty, from images with misplaced labels."""
        looked_in = dict.fromkeys(self.label_path(image).parent for image in images)
        texts = {folder: sorted(filter(_is_label_file, folders.names(folder))) for folder in looked_in}
        first, expected = images[0], self.label_path(images[0])
        own_folders = all(folders.exists(folder) for folder in looked_in) and expected.parent != first.parent
        if own_folders and not any(texts.values()):
            return
        beside = folders.file(first.with_suffix(".txt"))
        other = next((folder / names[0] for folder, names in texts.items() if names), None)
        if beside is not None:
            hint = f"there is {beside}: move the label files to {expected.parent}"
        elif other is not None:
            hint = f"there is {other}: give labels and images the same names"
        else:
            hint = "put the labels there; a set of background images alone needs an empty folder of labels"
        msg = f"{source}: none of its {len(images)} images has a label file; of {first} it would be {expected}; {hint}"
        raise InputError(msg)


def _is_label_file(name: str) -> bool:
    return name.lower().endswith(".txt") and name not in NO_LABELS
