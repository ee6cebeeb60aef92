"""Other datasets in MOTChallenge's layout: what each does differently."""

import inspect

import numpy as np
import pytest
from dataset_files import write_image, write_sequence

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.readers.mot_presets import CLASS_RULES, PRESETS
from jde_lightning.data.summary import describe
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

LINE = "1,7,3,4,10,20,1,1,1"


def read(root, **options):
    return list(MOTChallenge(**options).read(root))


def write_images(folder, names):
    for name in names:
        write_image(folder / name)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_name_is_the_presets_unless_given(preset):
    assert MOTChallenge(preset=preset).name == PRESETS[preset].name
    assert MOTChallenge(preset=preset, name="mine").name == "mine"
    assert MOTChallenge(name=PRESETS[preset].name).preset == preset


def test_mot17_is_the_default_and_the_last_resort():
    assert (MOTChallenge().preset, MOTChallenge().name) == ("mot17", "MOT17")
    assert MOTChallenge(name="of my own").preset == "mot17"
    assert MOTChallenge(preset="mot17", name="MOT20").preset == "mot17"


def test_arguments_win_over_the_preset(tmp_path):
    write_sequence(tmp_path / "S", [LINE])
    assert read(tmp_path, preset="dancetrack")[0].boxes.tolist() == [[3, 4, 13, 24]]
    assert read(tmp_path, preset="dancetrack", coordinate_base=1)[0].boxes.tolist() == [[2, 3, 12, 23]]
    assert read(tmp_path, preset="mot17", coordinate_base=0)[0].boxes.tolist() == [[3, 4, 13, 24]]


@pytest.mark.parametrize(
    ("preset", "base"),
    [
        *[(preset, 1) for preset in ("mot15", "mot16", "mot17", "mot20", "motsynth")],
        *[(preset, 0) for preset in ("dancetrack", "sportsmot", "hieve", "cvat")],
    ],
)
def test_coordinate_bases(preset, base):
    assert MOTChallenge(preset=preset).coordinate_base == base


def test_settings_name_every_argument_with_what_the_preset_filled_in():
    settings = MOTChallenge(preset="motsynth", every=10).settings()
    assert list(settings) == list(inspect.signature(MOTChallenge).parameters)
    filled = {"preset": "motsynth", "name": "MOTSynth", "first_frame": 0, "image_root": "frames", "every": 10}
    assert filled.items() <= settings.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "mot19"}, "preset is 'mot19', expected one of mot15, mot16, mot17, mot20, dancetrack"),
        ({"classes": "all"}, "classes is 'all', expected one of evaluation, training"),
        ({"coordinate_base": 2}, "coordinate_base is 2, expected one of 0, 1"),
        ({"first_frame": 5}, "first_frame is 5, expected one of auto, 0, 1"),
        ({"first_image": -1}, "first_image is -1, expected one of auto, 0, 1"),
    ],
)
def test_wrong_choices(options, message):
    with pytest.raises(InputError, match=message):
        MOTChallenge(**options)


# One row per flag and class that a rule may tell apart, all of visibility 0.05 or 1.
_ROWS = [(1, 1, 1), (0, 1, 1), (0, 2, 1), (0, 6, 1), (0, 7, 1), (0, 7, 0.05), (0, 8, 1), (0, 9, 1), (0, 13, 1)]
_P, _I, _O = Role.POSITIVE, Role.IGNORE, Role.OTHER


@pytest.mark.parametrize(
    ("preset", "classes", "roles"),
    [
        ("mot17", "evaluation", [_P, _O, _I, _O, _I, _I, _I, _O, _O]),
        ("mot20", "evaluation", [_P, _O, _I, _I, _I, _I, _I, _O, _O]),
        ("mot17", "training", [_P, _I, _I, _O, _I, _I, _I, _O, _I]),
        ("mot20", "training", [_P, _I, _I, _I, _I, _I, _I, _O, _I]),
        ("mot17", "pedestrian", [_P, _O, _O, _O, _O, _O, _O, _O, _O]),
        ("mot17", "yolo11_jde", [_P, _P, _P, _O, _P, _O, _O, _O, _O]),
        ("mot17", "person", [_P, _P, _P, _O, _P, _P, _P, _O, _O]),
        ("mot17", "labelled", [_P, _I, _I, _I, _I, _I, _I, _I, _I]),
    ],
)
def test_class_rules(tmp_path, preset, classes, roles):
    write_sequence(tmp_path / "S", [f"1,{i},1,1,5,5,{f},{c},{v}" for i, (f, c, v) in enumerate(_ROWS)])
    assert read(tmp_path, preset=preset, classes=classes)[0].roles.tolist() == roles
    assert classes in CLASS_RULES


def test_classes_by_number(tmp_path):
    write_sequence(tmp_path / "S", [f"1,{i},1,1,5,5,{f},{c},{v}" for i, (f, c, v) in enumerate(_ROWS)])
    (frame, *_) = read(tmp_path, positive_classes=[1, 9], ignored_classes=[13])
    assert frame.roles.tolist() == [_P, _O, _O, _O, _O, _O, _O, _O, _I]  # the rule's use of the flag stays
    assert frame.labels.tolist() == [0] * len(_ROWS)


@pytest.mark.parametrize("category", [0, 14, 80])
def test_classes_that_nobody_defines_are_refused_unless_chosen(tmp_path, category):
    write_sequence(tmp_path / "S", [LINE, f"2,7,3,4,10,20,1,{category},1"])
    with pytest.raises(
        InputError, match=rf"gt\.txt:2: found class {category} in column 8, expected 1 to 13.*positive_"
    ):
        read(tmp_path)
    frames = read(tmp_path, positive_classes=[category])
    assert [frame.roles.tolist() for frame in frames[:2]] == [[_O], [_P]]


def test_mot15_world_coordinates(tmp_path):
    write_sequence(tmp_path / "2DMOT2015" / "train" / "PETS09-S2L1", ["1,1,1,1,5,5,1,3.56,12,0"], seqinfo=None)
    (frame, *_) = read(tmp_path, preset="mot15")
    assert (frame.dataset, frame.roles.tolist(), frame.visibility.tolist()) == ("MOT15", [_P], [1.0])
    with pytest.raises(InputError, match=r"gt\.txt:1: class 3\.56 in column 8.*set `preset: mot15`"):
        read(tmp_path / "2DMOT2015" / "train")


def test_dancetrack_archives_unpack_into_two_folders(tmp_path):
    for part, number in (("train1", 1), ("train2", 2)):
        folder = write_sequence(tmp_path / part / f"dancetrack000{number}", [], frames=0, seqinfo=None)
        write_images(folder / "img1", ["00000001.jpg"])
        (folder / "gt" / "gt.txt").write_text("1,0,3,4,10,20,1,1,1\n")
    frames = read(tmp_path, preset="dancetrack")
    assert [frame.sequence for frame in frames] == ["dancetrack0001", "dancetrack0002"]
    assert [frame.identities.tolist() for frame in frames] == [[0], [0]]
    assert describe(FrameIndex.from_readers([MOTChallenge(preset="dancetrack")], tmp_path)).count("2 annotated id")


@pytest.mark.parametrize("first_file", [0, 1])
def test_hieve_counts_frames_from_zero(tmp_path, first_file):
    """Its ``gt`` begins at frame 0; who writes the frames of the videos numbers them from 0 or from 1."""
    lines = [f"{frame},1,{frame},4,10,20,1,-1,-1,-1" for frame in range(3)]
    folder = write_sequence(tmp_path / "5", lines, frames=0, seqinfo=None)
    write_images(folder / "img1", [f"{number:06d}.jpg" for number in range(first_file, first_file + 3)])
    frames = read(tmp_path, preset="hieve")
    assert [frame.frame for frame in frames] == [0, 1, 2]
    assert [frame.boxes[0, 0] for frame in frames] == [0, 1, 2]
    assert [int(frame.image_path.stem) for frame in frames] == list(range(first_file, first_file + 3))
    assert [f.frame for f in read(tmp_path, preset="hieve", split="train_half", half_convention="fairmot")] == [0]
    assert [f.frame for f in read(tmp_path, preset="hieve", split="train_half")] == [0, 1]


@pytest.mark.parametrize("path", [".", "MOTSynth", "MOTSynth/mot_annotations"])
def test_motsynth_has_its_images_apart(tmp_path, path):
    base = tmp_path / "MOTSynth"
    lines = ["0,3,11,21,5,6,1,1,0.5,1.5,2.5,3.5", "10,3,12,22,5,6,1,1,1,1,2,3", "10,4,1,1,9,9,0,8,1,1,2,3"]
    info = "[Sequence]\nname=000\nframeRate=20\nseqLength=11\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
    folder = write_sequence(base / "mot_annotations" / "000", lines, frames=0, seqinfo=info)
    assert not (folder / "img1").exists()
    write_images(base / "frames" / "000" / "rgb", ["0000.jpg", "0010.jpg"])
    reader = MOTChallenge(preset="motsynth", path=path)
    frames = list(reader.read(tmp_path))
    assert [frame.frame for frame in frames] == [0, 10]
    assert frames[0].boxes.tolist() == [[10, 20, 15, 26]]
    assert [role for frame in frames for role in frame.roles] == [_P, _P, _I]
    assert frames[1].image_path == base / "frames" / "000" / "rgb" / "0010.jpg"
    assert str(base / "frames") in reader.findings.sources


def test_motsynth_thinned_out_on_disk_stays_aligned(tmp_path):
    write_sequence(tmp_path / "mot_annotations" / "000", ["9,3,1,1,5,6,1,1,1,1,2,3"], frames=0, seqinfo=None)
    write_images(tmp_path / "frames" / "000" / "rgb", ["0009.jpg", "0019.jpg"])
    assert [len(frame) for frame in read(tmp_path, preset="motsynth")] == [1, 0]


def test_motsynth_without_frames(tmp_path):
    write_sequence(tmp_path / "mot_annotations" / "000", ["9,3,1,1,5,6,1,1,1,1,2,3"], frames=0, seqinfo=None)
    with pytest.raises(InputError, match=r"frames/000/rgb: no such folder.*videos only: write the frames of each to"):
        read(tmp_path, preset="motsynth")


def write_cvat(folder, lines, labels, names=("frame_000000.PNG", "frame_000001.PNG")):
    write_images(folder / "img1", [name.lower() for name in names])
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "gt" / "labels.txt").write_text("\n".join(labels))
    return folder


CVAT = ["1,1,3.5,4.25,10.0,20.0,1,2,1.0", "2,1,4,4,10,20,1,2,0.0", "2,2,9,9,5,5,0,2,1", "2,3,1,1,2,2,1,1,1"]


def test_cvat_keeps_its_class_names(tmp_path):
    write_cvat(tmp_path / "task", CVAT, ["car", "person", "dog"], ["000001.png", "000002.png"])
    reader = MOTChallenge(preset="cvat")
    first, second = reader.read(tmp_path)
    assert reader.class_names == ("car", "person", "dog")
    assert (first.dataset, first.sequence, first.width, first.height) == ("CVAT", "task", 64, 48)
    assert first.boxes.tolist() == [[3.5, 4.25, 13.5, 24.25]]
    assert second.roles.tolist() == [_P, _I, _P]
    assert second.labels[second.positive].tolist() == [1, 0]
    assert second.visibility.tolist() == [0, 1, 1]


def test_cvat_classes_to_learn_by_name(tmp_path):
    write_cvat(tmp_path / "task", CVAT, ["car", "person", "dog"], ["000001.png", "000002.png"])
    reader = MOTChallenge(preset="cvat", positive_classes=["person"], ignored_classes=["car"])
    _, second = reader.read(tmp_path)
    assert reader.class_names == ("person",)
    assert second.roles.tolist() == [_P, _I, _I]
    assert second.labels[second.positive].tolist() == [0]
    with pytest.raises(InputError, match="no class 'cat' to learn or to ignore, found car, dog, person"):
        read(tmp_path, preset="cvat", positive_classes=["cat"])
    with pytest.raises(InputError, match=r"no class 'person' to learn or to ignore, .*without `label_file`"):
        read(tmp_path, positive_classes=["person"])


def test_cvat_tasks_may_number_one_class_differently(tmp_path):
    write_cvat(tmp_path / "a", ["1,1,1,1,5,5,1,1,1"], ["person", "car"], ["000001.png"])
    write_cvat(tmp_path / "b", ["1,1,1,1,5,5,1,1,1", "1,2,1,1,5,5,1,2,1"], ["dog", "person"], ["000001.png"])
    reader = MOTChallenge(preset="cvat")
    a, b = reader.read(tmp_path)
    assert reader.class_names == ("person", "car", "dog")
    assert (a.labels.tolist(), b.labels.tolist()) == ([0], [2, 0])


def test_cvat_shapes_without_track_have_no_identity(tmp_path):
    lines = ["1,-1,1,1,5,5,1,1,1", "1,-1,2,2,5,5,1,1,1", "1,4,3,3,5,5,1,-1,1"]
    write_cvat(tmp_path / "task", lines, ["person", "car"], ["000001.png"])
    reader = MOTChallenge(preset="cvat")
    (frame,) = reader.read(tmp_path)
    assert frame.identities.tolist() == [NO_IDENTITY, NO_IDENTITY, 4]
    assert frame.roles.tolist() == [_P, _P, _I]  # the third has no class
    assert reader.findings.notes["boxes without a class ignored"] == 1


def test_cvat_video_frames_are_named_from_zero_and_counted_from_one(tmp_path):
    write_cvat(tmp_path / "task", ["1,1,1,1,5,5,1,1,1", "2,1,2,1,5,5,1,1,1"], ["person"])
    reader = MOTChallenge(preset="cvat")
    assert [frame.boxes[0, 0] for frame in reader.read(tmp_path)] == [1, 2]
    assert reader.findings.notes["sequences whose frames are numbered +1 against their images"] == 1


def test_cvat_labels_are_needed_and_checked(tmp_path):
    folder = write_cvat(tmp_path / "task", ["1,1,1,1,5,5,1,3,1"], ["person", "car"], ["000001.png"])
    with pytest.raises(InputError, match=r"gt\.txt:1: found class 3 in column 8, expected 1 to 2, the lines of gt/lab"):
        read(folder, preset="cvat")
    (folder / "gt" / "labels.txt").write_text("\n")
    with pytest.raises(InputError, match=r"labels\.txt: no names"):
        read(folder, preset="cvat")
    (folder / "gt" / "labels.txt").unlink()
    with pytest.raises(InputError, match=r"labels\.txt: cannot be read \(FileNotFoundError\).*preset: mot17"):
        read(folder, preset="cvat")


def test_a_label_file_that_is_not_read_is_noted(tmp_path):
    write_cvat(tmp_path / "task", ["1,1,1,1,5,5,1,1,1"], ["person"], ["000001.png"])
    reader = MOTChallenge()
    assert len(list(reader.read(tmp_path))) == 1
    assert "gt/labels.txt not read (CVAT writes such files: `preset: cvat`)" in reader.findings.summary()


def test_frame_rate_of_seqinfo_wins_over_the_datasets(tmp_path):
    write_sequence(tmp_path / "a", [LINE])
    write_sequence(tmp_path / "b", [LINE], seqinfo=None)
    rates = {frame.sequence: frame.frame_rate for frame in read(tmp_path, preset="dancetrack")}
    assert rates == {"a": 25, "b": 20}
    assert read(tmp_path, frame_rate=12.5, sequences=["b"])[0].frame_rate == 12.5


def test_image_folder_by_argument_by_seqinfo_or_img1(tmp_path):
    info = "[Sequence]\nimDir=pictures\nimWidth=64\nimHeight=48\n"
    folder = write_sequence(tmp_path / "S", [LINE], frames=1, seqinfo=info)
    (folder / "img1").rename(folder / "pictures")
    assert read(tmp_path)[0].image_path.parent.name == "pictures"
    write_image(folder / "other" / "000001.jpg")
    assert read(tmp_path, image_folder="other")[0].image_path.parent.name == "other"


def test_labels_index_the_class_names(tmp_path):
    write_sequence(tmp_path / "S", [LINE])
    reader = MOTChallenge()
    assert np.concatenate([frame.labels for frame in reader.read(tmp_path)]).tolist() == [0]
    assert reader.class_names == ("person",)
