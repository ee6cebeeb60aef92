"""The pedestrian sequences of ETH Zurich (Ess et al.), called ETHZ by JDE: boxes in videos, no identities.

Format: data.vision.ee.ethz.ch/cvl/aess (``.idl`` lists), or ``labels_with_ids`` as Towards-Realtime-MOT distributes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from jde_lightning.boxes import area, cxcywh_to_xyxy
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.eth_files import (
    EthSequence,
    find_sequences,
    frame_number,
    read_label_file,
    read_list,
)
from jde_lightning.data.readers.folders import images_in, is_junk
from jde_lightning.data.readers.locate import first_folder
from jde_lightning.data.readers.sequence_folders import size_of_video
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FloatArray, FrameAnnotations, IntArray, Role

Annotations = tuple[FloatArray, IntArray]
"""``(N, 4)`` float32 xyxy pixels and ``(N,)`` int64 identities of the boxes of one image."""

_FRAME_RATE = 14.0


class ETH(Reader):
    """Read all ETH sequences below a folder, in either of two forms.

    * The official one: an ``.idl`` list (``bahnhof-annot.idl``) near a folder of PNG images. Images are found by
      their file names, whatever their folder is called; only the left camera is annotated. Boxes are corners, 0-based,
      and swapped ones (938 of 7,698 in Bahnhof) are put right and counted.
    * That of JDE and ByteTrack: ``eth01/images`` with ``eth01/labels_with_ids`` (class, id, box) or, as the paper's
      code expects, ``eth01/labels`` (class, box), box as centre and size in parts of the image.

    All boxes are POSITIVE and none has an identity. Images that no annotation mentions are left out and counted.

    Pedcross2 and Linthescher show the same video as MOT16/17-05 and -06 and are left out, so that no evaluation on
    these sees what was trained; JDE's download does not contain them. For an evaluation on MOT15 leave out all but
    Loewenplatz (``sequences: [loewenplatz]``; of JDE's form, eth07).

    Args:
        path: folder of the sequences (or one sequence) below the data root; a folder ETHZ or ETH in it is preferred.
        sequences: names to read: bahnhof, jelmoli, sunnyday, crossing, loewenplatz, linthescher or pedcross2 where a
            file or folder tells which it is, otherwise the name of the folder (eth01); ``None`` reads all.
        mot_overlap: read also the sequences that MOT16 and MOT17 contain.
        refined: read ``refined.idl`` where a sequence has that list beside another one.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`; there are no identities, so anything but
            ``"full"`` gives each box its own.
        name: name of the dataset.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`; the visibility is always 1.
    """

    def __init__(
        self,
        path: str = ".",
        sequences: list[str] | None = None,
        mot_overlap: bool = False,
        refined: bool = False,
        supervision: Supervision = "self",
        name: str = "ETH",
        min_visibility: float = 0.0,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        self.path = path
        self.sequences = sequences
        self.mot_overlap = mot_overlap
        self.refined = refined

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all annotated frames that have an image on disk.

        Raises:
            InputError: if no sequence is found, one that is wanted is not there, or an annotation is broken.
        """
        path = root / self.path
        base = first_folder(path, ("ETHZ", "ETH"), self.findings) or path
        wanted = self._select(find_sequences(base, self.refined, self.findings), base)
        for sequence in wanted:
            files, empty = images_in(self.findings.use(sequence.images)) if sequence.images else ([], [])
            overlap = sequence.overlap(len(files))
            if overlap and not self.mot_overlap:
                what = f"sequence {sequence.name} left out, it is {overlap} (`mot_overlap: true` reads it)"
                self.findings.notes[what] += 1
                continue
            self.findings.corrupt += map(str, empty)
            yield from self._read_sequence(sequence, files)
        if self.findings.missing and not any(sequence.images for sequence in wanted):
            msg = f"{base}: none of the {len(self.findings.missing)} annotated images is there, first "
            raise InputError(msg + f"{self.findings.missing[0]}; unpack the images of the left camera there")

    def _select(self, sequences: list[EthSequence], base: Path) -> list[EthSequence]:
        if self.sequences is None:
            return sequences
        unknown = set(self.sequences) - {sequence.name for sequence in sequences}
        if unknown:
            found = ", ".join(sequence.name for sequence in sequences)
            msg = f"{base}: no sequence {min(unknown)!r}, found {found}"
            raise InputError(msg)
        return [sequence for sequence in sequences if sequence.name in self.sequences]

    def _read_sequence(self, sequence: EthSequence, files: list[Path]) -> Iterator[FrameAnnotations]:
        images = {file.stem: file for file in files}
        size = size_of_video(images, self.size_of)
        annotated = self._listed(sequence) if sequence.has_list else self._labelled(sequence, size or (1, 1))
        self._note_differences(sequence, images, annotated)
        if size is None:
            return
        numbered = sorted((frame_number(image), stem) for stem, image in images.items() if stem in annotated)
        for number, stem in numbered:
            boxes, identities = annotated[stem]
            yield FrameAnnotations(
                image_path=images[stem],
                width=size[0],
                height=size[1],
                boxes=boxes,
                labels=np.zeros(len(boxes), np.int64),
                identities=identities,
                # A box without area cannot be learned; as a region to ignore it does no harm.
                roles=np.where(area(boxes) > 0, Role.POSITIVE, Role.IGNORE),
                visibility=np.ones(len(boxes), np.float32),
                dataset=self.name,
                sequence=sequence.name,
                frame=number,
                frame_rate=_FRAME_RATE,
            )

    def _listed(self, sequence: EthSequence) -> dict[str, Annotations]:
        """Boxes and identities from an ``.idl`` list, by file name without suffix."""
        annotated = {}
        for image, corners in read_list(self.findings.use(sequence.annotations)).items():
            low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
            swapped = int(np.count_nonzero((low != corners[:, :2]).any(axis=1)))
            if swapped:
                self.findings.notes["boxes with swapped corners put right"] += swapped
            boxes = np.concatenate([low, high], axis=1).astype(np.float32)
            annotated[Path(image).stem] = boxes, np.full(len(boxes), NO_IDENTITY)
        return annotated

    def _labelled(self, sequence: EthSequence, size: tuple[int, int]) -> dict[str, Annotations]:
        """Boxes and identities from label files, by file name without suffix."""
        annotated = {}
        columns = 6 if sequence.annotations.name == "labels_with_ids" else 5
        for file in sorted(self.findings.use(sequence.annotations).glob("*.txt")):
            if not is_junk(file.name):
                rows = read_label_file(self.findings.use(file), columns)
                boxes = cxcywh_to_xyxy(rows[:, 1:] * np.tile(size, 2)).astype(np.float32)
                identities = np.where(rows[:, 0] >= 0, rows[:, 0], NO_IDENTITY).astype(np.int64)
                annotated[file.stem] = boxes, identities
        return annotated

    def _note_differences(self, sequence: EthSequence, images: dict[str, Path], annotated: Collection[str]) -> None:
        """Note annotations without image and images without annotation."""
        corrupt = {Path(name).stem for name in self.findings.corrupt if Path(name).parent == sequence.images}
        absent = [stem for stem in annotated if stem not in images and stem not in corrupt]
        self.findings.missing += [f"{sequence.name}/{stem}" for stem in absent]
        others = sum(stem not in annotated for stem in images)
        if others:
            self.findings.notes["images without annotation left out"] += others
