"""Evaluating folders: layouts, halves, and what is missing."""

import numpy as np
import pytest
from trackeval_oracle import perturbed, random_sequence

from jde_lightning.errors import InputError
from jde_lightning.metrics.folders import evaluate_folder
from jde_lightning.metrics.mot_challenge import read_ground_truth
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts, summed


def write(path, rows, tail):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = zip(rows.frames, rows.ids, rows.boxes_ltwh.tolist(), rows.scores, rows.classes, strict=True)
    path.write_text("".join(f"{f},{i},{','.join(map(repr, box))},{s},{c}{tail}\n" for f, i, box, s, c in table))


@pytest.fixture
def example(tmp_path):
    """Two sequences of 20 frames in the official layout, and what evaluating their rows gives."""
    rng = np.random.default_rng(5)
    pairs = {}
    for name in ("MOT17-02-FRCNN", "MOT17-04-FRCNN"):
        pairs[name] = gt, result = random_sequence(rng, 10)
        write(tmp_path / "gt" / name / "gt" / "gt.txt", gt, ",1")
        (tmp_path / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength=20\n")
        write(tmp_path / "results" / f"{name}.txt", result, ",-1,-1")
    counts = {name: sequence_counts(*pair) for name, pair in pairs.items()}
    expected = {
        "combined": scores_from_counts(summed(counts.values())),
        "sequences": {name: scores_from_counts(count) for name, count in counts.items()},
    }
    return tmp_path, expected


def test_official_layout(example):
    folder, expected = example
    assert evaluate_folder(folder / "gt", folder / "results") == expected
    assert evaluate_folder(str(folder / "gt"), str(folder / "results"), progress=True) == expected


def test_trackeval_layout_of_results(example):
    folder, expected = example
    (folder / "tracker").mkdir()
    (folder / "results").rename(folder / "tracker" / "data")
    (folder / "tracker" / "pedestrian_summary.txt").write_text("HOTA DetA\n1 2\n")
    assert evaluate_folder(folder / "gt", folder / "tracker") == expected


def test_flat_ground_truth_without_seqinfo(example):
    folder, expected = example
    for name in expected["sequences"]:
        (folder / "gt" / name / "gt" / "gt.txt").rename(folder / "gt" / f"{name}.txt")
        # every frame of the result must exist, and only the ground truth says which do
        with (folder / "gt" / f"{name}.txt").open("a") as file:
            file.write("20,999,1,1,5,5,0,9,1\n")
    assert evaluate_folder(folder / "gt", folder / "results") == expected


def test_folder_of_one_sequence_and_choice_by_pattern(example):
    folder, expected = example
    one = {"MOT17-02-FRCNN": expected["sequences"]["MOT17-02-FRCNN"]}
    scores = evaluate_folder(folder / "gt" / "MOT17-02-FRCNN", folder / "results", sequences=["MOT17-02-FRCNN"])
    assert scores["sequences"] == one
    assert evaluate_folder(folder / "gt", folder / "results", sequences=["*-02-*"])["sequences"] == one


def test_empty_result_file_counts_as_nothing_found(example):
    folder, expected = example
    (folder / "results" / "MOT17-02-FRCNN.txt").write_text("")
    scores = evaluate_folder(folder / "gt", folder / "results")
    assert scores["sequences"]["MOT17-02-FRCNN"]["HOTA"] == 0
    assert scores["sequences"]["MOT17-04-FRCNN"] == expected["sequences"]["MOT17-04-FRCNN"]


def write_frames(path, frames, end="1,1,1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{frame},1,10,10,20,50,{end}\n" for frame in frames))


@pytest.mark.parametrize(
    ("frames", "length", "hint"),
    [
        (range(22, 41), 40, "frames 22 to 40 of 40; --split val_half evaluates"),
        (range(25, 30), 40, "frames 25 to 29 of 40; --split val_half evaluates"),
        (range(21, 41), 40, "frames 21 to 40 of 40; --split val_half --half-convention fairmot evaluates"),
        (range(1, 22), 40, "frames 1 to 21 of 40; --split train_half evaluates"),
        (range(1, 21), 40, "frames 1 to 20 of 40; --split train_half evaluates"),
        (range(5, 36), 40, None),
        (range(20, 41), 40, None),
        (range(1, 23), 40, None),
        (range(0), 40, None),
        (range(11, 19), 18, None),
    ],
)
@pytest.mark.parametrize("seqinfo", [True, False])
def test_results_of_one_half_are_told_of(frames, length, hint, seqinfo, tmp_path, caplog):
    for name in ("A", "B"):
        write_frames(tmp_path / "gt" / name / "gt" / "gt.txt", range(1, length + 1))
        if seqinfo:
            (tmp_path / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={length}\n")
        write_frames(tmp_path / "results" / f"{name}.txt", frames, "1,-1,-1,-1")
    evaluate_folder(tmp_path / "gt", tmp_path / "results")
    assert len(caplog.records) == (hint is not None)
    if hint:
        assert f"{tmp_path / 'results' / 'A.txt'}: all lines lie in {hint} that half alone (and 1 more);" in caplog.text


def test_half_a_result_is_right_where_half_is_annotated_or_asked_for(tmp_path, caplog):
    write_frames(tmp_path / "gt" / "A" / "gt" / "gt.txt", range(1, 41))
    write_frames(tmp_path / "results" / "A.txt", range(22, 41), "1,-1,-1,-1")
    scores = evaluate_folder(tmp_path / "gt", tmp_path / "results", split="val_half")
    assert scores["combined"]["HOTA"] == pytest.approx(1)
    write_frames(tmp_path / "gt" / "A" / "gt" / "gt.txt", range(22, 41))
    (tmp_path / "gt" / "A" / "seqinfo.ini").write_text("[Sequence]\nseqLength=40\n")
    evaluate_folder(tmp_path / "gt", tmp_path / "results")
    assert not caplog.records


def test_what_is_missing_is_named(example):
    folder, _ = example
    with pytest.raises(InputError, match="nowhere: not found, expected a folder of ground truth"):
        evaluate_folder(folder / "nowhere", folder / "results")
    with pytest.raises(InputError, match=r"gt\.txt: a file, expected a folder of ground truth"):
        evaluate_folder(folder / "gt" / "MOT17-02-FRCNN" / "gt" / "gt.txt", folder / "results")
    with pytest.raises(InputError, match="nowhere: not found, expected a folder of results"):
        evaluate_folder(folder / "gt", folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no ground truth found, expected SEQ/gt/gt\.txt or SEQ\.txt"):
        evaluate_folder(folder / "empty", folder / "results")
    with pytest.raises(InputError, match=r"empty: no result file found, expected SEQ\.txt or data/SEQ\.txt"):
        evaluate_folder(folder / "gt", folder / "empty")
    with pytest.raises(InputError, match=r"no sequence is called 'MOT20-\*', found MOT17-02-FRCNN, MOT17-04-FRCNN"):
        evaluate_folder(folder / "gt", folder / "results", sequences=["*-02-*", "MOT20-*"])
    (folder / "results" / "MOT17-2.txt").write_text("")
    with pytest.raises(InputError, match=r"MOT17-2\.txt: no ground truth for it in .*, which has MOT17-02-FRCNN"):
        evaluate_folder(folder / "gt", folder / "results")
    (folder / "results" / "MOT17-2.txt").unlink()
    (folder / "results" / "MOT17-02-FRCNN.partial.txt").write_text("")
    with pytest.raises(
        InputError, match=r"FRCNN\.partial\.txt: a partial result, .* track MOT17-02-FRCNN again, or rem"
    ):
        evaluate_folder(folder / "gt", folder / "results")
    (folder / "results" / "MOT17-02-FRCNN.partial.txt").unlink()
    (folder / "results" / "MOT17-02-FRCNN.txt").unlink()
    with pytest.raises(InputError, match=r"results: no result file for MOT17-02-FRCNN; write an empty file"):
        evaluate_folder(folder / "gt", folder / "results")


def test_long_lists_are_cut(example):
    folder, _ = example
    for number in range(12):
        write(folder / "gt" / f"X{number:02d}" / "gt" / "gt.txt", random_sequence(np.random.default_rng(0))[0], ",1")
    with pytest.raises(InputError, match=r"no result file for X00, .*X09 and 2 more"):
        evaluate_folder(folder / "gt", folder / "results")


def test_frames_beyond_the_sequence(example):
    folder, _ = example
    path = folder / "results" / "MOT17-02-FRCNN.txt"
    path.write_text("1,1,1,1,5,5,1,-1,-1,-1\n21,1,1,1,5,5,1,-1,-1,-1\n")
    with pytest.raises(InputError, match=r"MOT17-02-FRCNN\.txt, line 2: frame 21, expected 1 to 20"):
        evaluate_folder(folder / "gt", folder / "results")
    (folder / "gt" / "MOT17-02-FRCNN" / "seqinfo.ini").unlink()
    with pytest.raises(InputError, match=r"line 2: frame 21 is outside of the annotated frames of .*no seqinfo\.ini"):
        evaluate_folder(folder / "gt", folder / "results")


def test_half_equals_the_published_half(real_data, tmp_path):
    """The half cut by us from the official file scores as the renumbered half that others published."""
    name = "MOT17-09-FRCNN"
    published = real_data / "mot17" / "gt_val_half"
    result = perturbed(read_ground_truth(published / name / "gt" / "gt.txt"), np.random.default_rng(0))
    write(tmp_path / "renumbered" / f"{name}.txt", result, ",-1,-1")
    result.frames[:] += 263
    write(tmp_path / "original" / f"{name}.txt", result, ",-1,-1")
    expected = evaluate_folder(published, tmp_path / "renumbered", sequences=[name])
    whole = real_data / "mot17" / "gt"
    assert evaluate_folder(whole, tmp_path / "original", split="val_half", sequences=[name]) == expected
    fairmot = evaluate_folder(
        whole, tmp_path / "original", split="val_half", half_convention="fairmot", sequences=[name]
    )
    assert fairmot["combined"]["FN"] > expected["combined"]["FN"]  # one more frame of ground truth
    with pytest.raises(InputError, match=r"frame \d+ is outside of val_half \(centertrack\), frames 264 to 525"):
        evaluate_folder(whole, tmp_path / "renumbered", split="val_half", sequences=[name])
    with pytest.raises(InputError, match=r"is outside of train_half \(centertrack\), frames 1 to 263"):
        evaluate_folder(whole, tmp_path / "original", split="train_half", sequences=[name])
