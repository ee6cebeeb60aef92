"""Files as people really have them: incomplete, renumbered, with junk in every folder."""

import pytest
from dataset_files import write_image, write_sequence

from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.readers.mot_files import frame_offset
from jde_lightning.errors import InputError
from jde_lightning.structures import Role

LINE = "1,7,3,4,10,20,1,1,1"


def read(root, **options):
    return list(MOTChallenge(**options).read(root))


def read_with_findings(root, **options):
    reader = MOTChallenge(**options)
    return list(reader.read(root)), reader.findings


def write_numbered(folder, lines, numbers, length=None, digits=6):
    """A sequence with images of the given numbers."""
    info = f"[Sequence]\nimWidth=64\nimHeight=48\nseqLength={length}\n" if length else None
    write_sequence(folder, lines, frames=0, seqinfo=info)
    for number in numbers:
        write_image(folder / "img1" / f"{number:0{digits}d}.jpg")
    return folder


def test_junk_in_every_folder(tmp_path):
    folder = write_sequence(tmp_path / "train" / "S", [LINE])
    for place in (tmp_path, tmp_path / "train", folder, folder / "img1", folder / "gt"):
        for name in (".DS_Store", "Thumbs.db", "._000001.jpg", "._seqinfo.ini"):
            (place / name).write_bytes(b"\0\x05\x16\x07")
        for name in ("__MACOSX", "@eaDir", ".hidden"):
            write_image(place / name / "img1" / "000001.jpg")
            write_image(place / name / "000001.jpg")
            (place / name / "seqinfo.ini").write_text("[Sequence]\n")
    frames, findings = read_with_findings(tmp_path)
    assert {frame.sequence for frame in frames} == {"S"}
    assert len(frames) == 4
    assert findings.summary() == ""


def test_annotated_frames_without_image_are_missing(tmp_path):
    write_numbered(tmp_path / "S", ["1,1,1,1,5,5,1,1,1", "3,1,1,1,5,5,1,1,1", "4,1,1,1,5,5,1,1,1"], [1, 2, 5], length=6)
    frames, findings = read_with_findings(tmp_path)
    assert [frame.frame for frame in frames] == [1, 2, 5]
    assert findings.missing == [str(tmp_path / "S" / "img1" / f"00000{number}.jpg") for number in (3, 4)]
    _, findings = read_with_findings(tmp_path, split="train_half", half_convention="fairmot")
    assert len(findings.missing) == 1


def test_missing_images_are_named_as_images_are(tmp_path):
    write_numbered(tmp_path / "S", ["0,1,1,1,5,5,1,-1", "2,1,1,1,5,5,1,-1"], [1, 2], digits=8)
    _, findings = read_with_findings(tmp_path, first_frame=0, first_image=1)
    assert findings.missing == [str(tmp_path / "S" / "img1" / "00000003.jpg")]


def test_every_counts_frames_that_are_annotated_or_there(tmp_path):
    """Who keeps every third image on disk gets them all with ``every: 3``, and nothing is missing."""
    lines = [f"{frame},1,1,1,5,5,1,1,1" for frame in range(1, 11)]
    write_numbered(tmp_path / "S", lines, [1, 4, 7, 10], length=10)
    frames, findings = read_with_findings(tmp_path, every=3)
    assert [frame.frame for frame in frames] == [1, 4, 7, 10]
    assert findings.missing == []


def test_images_of_no_bytes_cost_themselves_only(tmp_path):
    folder = write_sequence(tmp_path / "S", ["1,1,1,1,5,5,1,1,1", "2,1,1,1,5,5,1,1,1"])
    (folder / "img1" / "000002.jpg").write_bytes(b"")
    frames, findings = read_with_findings(tmp_path)
    assert [frame.frame for frame in frames] == [1, 3, 4]
    assert findings.corrupt == [str(folder / "img1" / "000002.jpg")]
    assert findings.missing == []


def test_without_seqinfo_the_first_image_that_is_one_tells_the_size(tmp_path):
    folder = write_sequence(tmp_path / "S", ["1,1,1,1,5,5,1,1,1"], seqinfo=None)
    (folder / "img1" / "000001.jpg").write_bytes(b"no image")
    frames, findings = read_with_findings(tmp_path)
    assert [(frame.frame, frame.width, frame.height) for frame in frames] == [(2, 64, 48), (3, 64, 48), (4, 64, 48)]
    assert findings.corrupt == [str(folder / "img1" / "000001.jpg")]
    assert findings.missing == []


def test_a_sequence_of_nothing_but_damaged_images(tmp_path):
    write_sequence(tmp_path / "good", [LINE])
    bad = write_sequence(tmp_path / "bad", [LINE], seqinfo=None)
    for image in (bad / "img1").iterdir():
        image.write_bytes(b"")
    frames, findings = read_with_findings(tmp_path)
    assert {frame.sequence for frame in frames} == {"good"}
    assert len(findings.corrupt) == 4


def test_size_comes_from_seqinfo_so_that_images_stay_closed(tmp_path):
    folder = write_sequence(tmp_path / "S", [LINE])
    for image in (folder / "img1").iterdir():
        image.write_bytes(b"never looked at")
    assert [(frame.width, frame.height) for frame in read(tmp_path)] == [(64, 48)] * 4


def test_a_half_in_the_folder_of_the_whole(tmp_path):
    """The ground truth and ``seqinfo.ini`` are of the first three frames, but all images are there."""
    write_numbered(tmp_path / "S", ["3,1,1,1,5,5,1,1,1"], range(1, 7), length=3)
    frames, findings = read_with_findings(tmp_path)
    assert [frame.frame for frame in frames] == [1, 2, 3]
    assert findings.notes == {"images after the end of their sequence (seqLength) left out": 3}


def test_seqlength_below_the_last_annotated_frame(tmp_path):
    write_numbered(tmp_path / "S", ["5,1,1,1,5,5,1,1,1"], range(1, 7), length=3)
    assert [frame.frame for frame in read(tmp_path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("length", "first", "second"), [(8, [12, 13, 15, 16], [17, 19]), (None, [12, 13, 15], [16, 17, 19])]
)
def test_halves_of_a_sequence_that_begins_late_and_has_gaps(tmp_path, length, first, second):
    """KITTI-13 of MOT15 begins at frame 12; here ``seqLength`` counts frames, or is not stated."""
    write_numbered(tmp_path / "S", ["13,1,1,1,5,5,1,1,1"], [12, 13, 15, 16, 17, 19], length=length)
    convention = "centertrack" if length else "fairmot"
    for split, expected in (("train_half", first), ("val_half", second)):
        assert [f.frame for f in read(tmp_path, split=split, half_convention=convention)] == expected


def test_halves_where_numbers_fit_seqlength(tmp_path):
    write_numbered(tmp_path / "S", ["13,1,1,1,5,5,1,1,1"], range(12, 21), length=20)
    assert [frame.frame for frame in read(tmp_path, split="train_half", half_convention="fairmot")] == []
    assert read(tmp_path, split="val_half", half_convention="fairmot")[0].frame == 12


@pytest.mark.parametrize(
    ("annotated", "images", "first_frame", "first_image", "offset"),
    [
        ([1, 2, 3], [1, 2, 3], "auto", "auto", 0),
        ([0, 2], [0, 1, 2], "auto", "auto", 0),
        ([1, 2, 3], [0, 1, 2], "auto", "auto", 1),
        ([0, 1, 2], [1, 2, 3], "auto", "auto", -1),
        ([12, 340], [12, 340], "auto", "auto", 0),
        ([], [0, 1], "auto", "auto", 0),
        ([1], [], "auto", "auto", 0),
        ([5], [0, 9], 0, "auto", 0),
        ([5], [0, 9], 1, "auto", 1),
        ([0, 5], [1, 9], 0, "auto", -1),
        ([0, 5], [5, 10], 0, 0, 0),
        ([5], [5, 10], "auto", 0, 1),
        ([5], [5, 10], "auto", 1, 0),
        ([], [5, 10], "auto", 0, 0),
        ([2, 7], [1, 2, 9], 0, "auto", -1),
        ([12], [12, 340], 1, "auto", 0),
        ([], [1, 2], 0, 1, -1),
    ],
)
def test_numbering_of_images(tmp_path, annotated, images, first_frame, first_image, offset):
    assert frame_offset(annotated, images, first_frame, first_image, tmp_path / "gt.txt") == offset


@pytest.mark.parametrize(
    ("annotated", "images", "first_frame"),
    [
        ([3, 9], range(20), "auto"),
        ([0, 9], [5, 20], "auto"),
        ([0, 9], range(1, 10), 0),  # image 0 is absent, or frame 9 has none
        ([2, 9], [5, 20], 0),
    ],
)
def test_unclear_numbering_is_refused(tmp_path, annotated, images, first_frame):
    with pytest.raises(InputError, match=r"gt\.txt: frames .* to 9 and images .*; set first_frame \(of gt"):
        frame_offset(annotated, images, first_frame, "auto", tmp_path / "gt.txt")


def test_a_first_image_of_no_bytes_does_not_shift_the_others(tmp_path):
    folder = write_numbered(tmp_path / "S", ["0,1,1,1,5,5,1,-1", "2,2,2,1,5,5,1,-1"], [0, 1, 2])
    (folder / "img1" / "000000.jpg").write_bytes(b"")
    for preset in ("hieve", "mot17"):
        frames = read(tmp_path, preset=preset)
        assert [(f.frame, f.image_path.stem, f.identities.tolist()) for f in frames] == [
            (1, "000001", []),
            (2, "000002", [2]),
        ]


def test_frames_below_the_first_one(tmp_path):
    write_numbered(tmp_path / "S", ["0,1,1,1,5,5,1,1,1"], [0, 1])
    with pytest.raises(InputError, match=r"gt\.txt: found frame 0, but first_frame is 1; set first_frame to 0"):
        read(tmp_path, first_frame=1)


@pytest.mark.parametrize("order", [1, -1])
def test_order_of_rows_does_not_matter(tmp_path, order):
    lines = [f"{frame},{identity},{identity},{frame},5,5,1,1,1" for identity in (1, 2) for frame in (1, 2, 3)]
    by_frame = sorted(lines)
    write_sequence(tmp_path / "a", lines[::order])
    write_sequence(tmp_path / "b", by_frame[::order])
    boxes = {}
    for frame in read(tmp_path):
        rows = zip(frame.identities.tolist(), frame.boxes.tolist(), strict=True)
        boxes[frame.sequence, frame.frame] = {(identity, *box) for identity, box in rows}
    assert all(boxes["a", number] == boxes["b", number] for number in (1, 2, 3, 4))
    assert boxes["a", 2] == {(1, 0, 1, 5, 6), (2, 1, 1, 6, 6)}


def test_an_identity_twice_in_a_frame_names_both_lines(tmp_path):
    write_sequence(tmp_path / "S", ["2,1,9,9,5,5,1,1,1", "", LINE, "2,7,1,1,5,5,1,1,1", LINE])
    with pytest.raises(InputError, match=r"gt\.txt:5: identity 7 is in frame 1 a second time.*first is line 3"):
        read(tmp_path)


@pytest.mark.parametrize("rows", [("1,-1,1,1,5,5,1,1,1",) * 2, ("1,3,1,1,5,5,0,9,1",) * 2, (LINE, "1,7,1,1,5,5,0,7,1")])
def test_rows_that_are_not_learned_or_have_no_identity_may_repeat_one(tmp_path, rows):
    write_sequence(tmp_path / "S", list(rows))
    assert len(read(tmp_path)[0]) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([LINE, "2,7,3,4,10,20,1"], r"gt\.txt:2: found '2,7,3,4,10,20,1'.*these are 7 columns after 9 before"),
        ([LINE, LINE + ",1"], r"gt\.txt:2: .*these are 10 columns after 9 before"),
        (["1,7,3,4,10,20,1,1,1,0,0"], r"gt\.txt:1: .*these are 11 columns, not 6 to 10 or 12"),
        (["1 7 3 4 10 20 1 1 1"], r"gt\.txt:1: .*these are 1 columns"),
    ],
)
def test_columns_are_counted(tmp_path, lines, message):
    write_sequence(tmp_path / "S", lines)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_ground_truth_that_is_no_text(tmp_path):
    folder = write_sequence(tmp_path / "S", [])
    (folder / "gt" / "gt.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"gt\.txt: cannot be read as text"):
        read(tmp_path)


def test_boxes_without_area_are_not_learned(tmp_path):
    write_sequence(tmp_path / "S", ["1,1,5,5,0,9,1,1,1", "1,2,5,5,9,9,1,1,1"])
    frames, findings = read_with_findings(tmp_path)
    assert frames[0].roles.tolist() == [Role.IGNORE, Role.POSITIVE]
    assert findings.notes["boxes without area ignored"] == 1


def test_a_training_folder_with_a_sequence_without_ground_truth(tmp_path):
    write_sequence(tmp_path / "dancetrack0001", [LINE])
    folder = write_sequence(tmp_path / "dancetrack0002", [LINE])
    (folder / "gt" / "gt.txt").unlink()
    with pytest.raises(InputError, match=r"dancetrack0002/gt/gt\.txt: no such file; test sequences have no ground"):
        read(tmp_path, preset="dancetrack")


def test_numbers_in_seqinfo_must_be_positive(tmp_path):
    write_sequence(tmp_path / "S", [LINE], seqinfo="[Sequence]\nimWidth=0\nimHeight=48\n")
    with pytest.raises(InputError, match=r"seqinfo\.ini: imWidth is '0', which is no whole number above 0"):
        read(tmp_path)


def test_the_sequence_of_the_current_folder_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_sequence(tmp_path / "MOT17-99-SDP", [LINE]))
    assert {frame.sequence for frame in read(".")} == {"MOT17-99-SDP"}


def test_findings_expire_with_the_files(tmp_path):
    folder = write_sequence(tmp_path / "train" / "S", [LINE])
    reader = MOTChallenge()

    def changed_after(change):
        list(reader.read(tmp_path))
        assert reader.findings.unchanged()
        change()
        return not reader.findings.unchanged()

    assert changed_after(lambda: (folder / "gt" / "gt.txt").write_text(LINE + "\n" + LINE.replace("1,7", "2,7")))
    assert changed_after(lambda: (folder / "img1" / "000004.jpg").unlink())
    assert changed_after(lambda: (folder / "seqinfo.ini").unlink())
    assert changed_after(lambda: write_sequence(tmp_path / "train" / "T", [LINE]))
    assert changed_after(lambda: (folder / "gt" / "labels.txt").write_text("person"))
