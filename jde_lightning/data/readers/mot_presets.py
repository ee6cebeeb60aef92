"""What differs between the datasets that use MOTChallenge's layout, and which of their boxes are learned.

Where the coordinates count pixels from, and how we know:

* MOT15, MOT16, MOT17, MOT20: from 1. The official instructions say so, and boxes that end at the border have
  ``left + width`` = image width + 1 (MOT17-02: 608 boxes at 1921) and ``top + height`` = image height + 1 (MOT20-01,
  second half: 519 at 1081).
* DanceTrack: from 0. Boxes that touch the floor of the picture end at 1079 (387 in dancetrack0004; 68 at 1080, 13 at
  1081); the dataset's own tools use the numbers as they are.
* SportsMOT: from 0. No box leaves the image, and they begin at 0 and end at the image width (1280).
* HiEve: from 0, inferred: the official example of an annotation ends at y 1079 in an image of 1080 rows.
* MOTSynth: from 1. The annotations are exported with 1 added to the 0-based ones.
* CVAT: from 0. It exports its own coordinates, whose first pixel begins at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from jde_lightning.structures import Role

PresetName = Literal["mot15", "mot16", "mot17", "mot20", "dancetrack", "sportsmot", "hieve", "motsynth", "cvat"]
FirstNumber = int | Literal["auto"]
ClassRuleName = Literal["evaluation", "training", "pedestrian", "person", "yolo11_jde", "labelled"]

PEDESTRIAN = 1
MOT_CLASSES = range(1, 14)
"""The classes that MOTChallenge defines: 1 pedestrian to 13 crowd."""

_CROWD = 13
# Person on vehicle, static person, distractor, reflection: TrackEval removes detections that match them. MOT20 adds
# the non-motorised vehicle.
_DISTRACTORS = (2, 7, 8, 12)


@dataclass(frozen=True)
class Preset:
    """The facts about one dataset that :class:`~jde_lightning.data.readers.mot.MOTChallenge` needs.

    Attributes:
        name: name of the dataset.
        coordinate_base: number of the first pixel, 0 or 1.
        classes: the rule of :data:`CLASS_RULES` that applies if none is chosen.
        distractors: classes that the benchmark's evaluation removes together with what matches them.
        class_column: whether column 8 is a class and column 9 a visibility, not world coordinates.
        label_file: file in the folder of a sequence that names its classes, one a line; empty for none.
        first_frame: number of the first frame in ``gt.txt``, or ``"auto"`` to tell it from the files.
        first_image: number in the file name of the first image, or ``"auto"``.
        image_root: folder that holds the images where they stand apart from the annotations; empty for none.
        image_folder: folder of the images of a sequence; empty for what ``seqinfo.ini`` says.
        frame_rate: frames per second of a sequence whose ``seqinfo.ini`` does not say.
        places: folders below the root in which the sequences are looked for, after the usual ones. Folders that stand
            in one tuple are parts of the same split.
        image_hint: where the images come from, for the error if there are none.
    """

    name: str
    coordinate_base: int = 1
    classes: ClassRuleName = "evaluation"
    distractors: tuple[int, ...] = _DISTRACTORS
    class_column: bool = True
    label_file: str = ""
    first_frame: FirstNumber = "auto"
    first_image: FirstNumber = "auto"
    image_root: str = ""
    image_folder: str = ""
    frame_rate: float = 30.0
    places: tuple[tuple[str, ...], ...] = ()
    image_hint: str = "unpack the archive with the images there"


PRESETS: dict[PresetName, Preset] = {
    "mot15": Preset(
        name="MOT15",
        class_column=False,  # columns 8 to 10 are -1, or world coordinates (TUD-Stadtmitte, PETS09)
        places=(("2DMOT2015/train",),),
        image_hint="unpack 2DMOT2015.zip",
    ),
    "mot16": Preset(name="MOT16", image_hint="unpack MOT16.zip"),
    "mot17": Preset(
        name="MOT17",
        places=(("MOT17/train",), ("mot/train",)),
        image_hint="MOT17Labels.zip has none, unpack MOT17.zip",
    ),
    "mot20": Preset(
        name="MOT20",
        distractors=(*_DISTRACTORS, 6),
        frame_rate=25.0,
        image_hint="MOT20Labels.zip has none, unpack MOT20.zip",
    ),
    "dancetrack": Preset(
        name="DanceTrack",
        coordinate_base=0,
        frame_rate=20.0,
        places=(("train1", "train2"), ("DanceTrack/train1", "DanceTrack/train2")),
        image_hint="unpack train1.zip and train2.zip (or val.zip)",
    ),
    "sportsmot": Preset(
        name="SportsMOT",
        coordinate_base=0,
        frame_rate=25.0,
        places=(("dataset/train",), ("sportsmot_publish/dataset/train",)),
    ),
    "hieve": Preset(
        name="HiEve",
        coordinate_base=0,
        class_column=False,
        first_frame=0,
        image_hint="HiEve is videos only: write the frames of each to its img1 folder",
    ),
    "motsynth": Preset(
        name="MOTSynth",
        first_frame=0,
        first_image=0,  # not told from the files: who keeps every tenth image may lack the first
        image_root="frames",
        image_folder="rgb",
        frame_rate=20.0,
        places=(("mot_annotations",), ("MOTSynth/mot_annotations",)),
        image_hint="MOTSynth is videos only: write the frames of each to frames/SEQUENCE/rgb",
    ),
    "cvat": Preset(
        name="CVAT",
        coordinate_base=0,
        classes="labelled",
        label_file="gt/labels.txt",
        image_hint="export the task with 'Save images', or write the frames of the video there",
    ),
}
"""All presets; see :class:`~jde_lightning.data.readers.mot.MOTChallenge` for how to choose one."""


class ClassRule(NamedTuple):
    """Which annotated boxes are learned and which are ignored; the rest is of no interest.

    Attributes:
        positive: classes to learn; ``None`` is every class.
        ignored: classes to ignore; ``None`` is the distractors of the benchmark.
        use_flag: whether a box of a positive class is learned only if its flag (column 7) is not 0.
        flagged_out: what a box of a positive class is whose flag is 0.
        min_visibility: a box of a positive class that is less visible than this is of no interest.
    """

    positive: tuple[int, ...] | None = (PEDESTRIAN,)
    ignored: tuple[int, ...] | None = ()
    use_flag: bool = True
    flagged_out: Role = Role.OTHER
    min_visibility: float = 0.0


CLASS_RULES: dict[ClassRuleName, ClassRule] = {
    "evaluation": ClassRule(ignored=None),
    "training": ClassRule(ignored=None, flagged_out=Role.IGNORE),  # and the crowd, see class_rule()
    "pedestrian": ClassRule(),
    "person": ClassRule(positive=(1, 2, 7, 8, 12), use_flag=False),
    "yolo11_jde": ClassRule(positive=(1, 2, 7), use_flag=False, min_visibility=0.1),
    "labelled": ClassRule(positive=None, flagged_out=Role.IGNORE),
}
"""How papers and tools filter classes; what each means is told in
:class:`~jde_lightning.data.readers.mot.MOTChallenge`."""


def class_rule(name: ClassRuleName, preset: Preset) -> ClassRule:
    """Return a named rule with the distractors of a dataset filled in.

    Raises:
        KeyError: if there is no rule of that name.
    """
    rule = CLASS_RULES[name]
    if rule.ignored is not None:
        return rule
    return rule._replace(ignored=preset.distractors + ((_CROWD,) if name == "training" else ()))


def preset_of(preset: str | None, name: str | None) -> PresetName:
    """Return the preset to use: the chosen one, else the one of the dataset's name, else MOT17's.

    Args:
        preset: the choice, if there is one.
        name: the name of the dataset, if there is one; upper and lower case do not matter.

    Raises:
        KeyError: if the chosen preset does not exist.
    """
    names: dict[str, PresetName] = {key: key for key in PRESETS}
    return names[preset] if preset is not None else names.get((name or "").lower(), "mot17")
