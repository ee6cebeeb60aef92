"""Rows over a base: what they set, which command trains them, and how wrong input is answered."""

from pathlib import Path

import pytest

from jde_lightning.cli.ablation_rows import load_rows, merge, settings_of
from jde_lightning.errors import InputError

BASE = "trainer: {max_epochs: 5, check_val_every_n_epoch: 2}\nmodel: {reid_gain: 1.0, embed_dim: 128}\n"


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text(BASE)
    return path


def row_file(tmp_path, text, name="set/row.yaml"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_row_lies_over_base_and_arguments_over_both(tmp_path, base):
    path = row_file(
        tmp_path, "# published: {table: 4, row: 1.5, hota: 1, mota: 2.5, idf1: 3}\nmodel: {reid_gain: 1.5}\n"
    )
    (row,) = load_rows([path], [base], Path("out"), ["--model.embed_dim", "64"])
    assert (row.table, row.name, row.published) == ("4", "1.5", {"hota": 1.0, "mota": 2.5, "idf1": 3.0})
    assert row.settings["model"] == {"reid_gain": 1.5, "embed_dim": 64}
    assert (row.root, row.epochs, row.last_validation) == (Path("out/runs/set/row"), 5, 3)
    configs = ("--config", str(base), "--config", str(path))
    root = ("--trainer.default_root_dir", "out/runs/set/row")
    assert row.words == ("fit", *configs, *root, "--model.embed_dim", "64")


def test_run_folder_of_the_row_needs_no_word(tmp_path, base):
    path = row_file(tmp_path, "trainer: {default_root_dir: mine}\n")
    (row,) = load_rows([path], [base], Path(), [])
    assert row.root == Path("mine")
    assert "--trainer.default_root_dir" not in row.words


def test_each_seed_has_its_words_settings_and_folder(tmp_path, base):
    rows = [tmp_path / f"{name}.yaml" for name in "ab"]
    for path in rows:
        path.write_text("model: {margin: 0.1}\n")
    found = load_rows(rows, [base], tmp_path, ["--data.root", "d"], seeds=(3, 4))
    assert [(row.path.stem, row.seed) for row in found] == [("a", 3), ("b", 3), ("a", 4), ("b", 4)]
    assert found[0].root == tmp_path / "runs" / tmp_path.name / "a" / "seed_3"
    assert found[0].words[-4:] == ("--seed_everything", "3", "--data.seed", "3")
    assert (found[3].settings["seed_everything"], found[3].settings["data"]["seed"]) == (4, 4)
    assert "seed_everything" not in load_rows(rows, [base], tmp_path, [])[0].settings


def test_what_was_not_published_is_named_by_its_file(tmp_path, base):
    (row,) = load_rows([row_file(tmp_path, "model: {reid_gain: 2}\n")], [base], Path(), [])
    assert (row.table, row.name, row.published) == ("set", "row", {})


def test_folders_are_read_in_the_order_of_numbers_and_nothing_twice(tmp_path, base):
    for name in ("t2/dim_128", "t10/a", "t2/dim_64", "t2/dim_64_x", "t2/m_0.1", "t2/m_0.05"):
        row_file(tmp_path, "model: {}\n", f"{name}.yaml")
    rows = load_rows([tmp_path / "t2" / "m_0.1.yaml", tmp_path / "t2", tmp_path / "t10"], [base], Path(), [])
    assert [row.path.stem for row in rows] == ["m_0.1", "dim_64", "dim_64_x", "dim_128", "m_0.05", "a"]


def test_merge_replaces_lists_and_drops_the_arguments_of_another_class():
    below = {"a": {"class_path": "x.A", "init_args": {"n": 1, "m": 2}}, "b": [1, 2], "c": {"d": 1, "e": 2}}
    assert merge(below, {"a": {"init_args": {"n": 3}}, "b": [3], "c": {"d": 4}}) == {
        "a": {"class_path": "x.A", "init_args": {"n": 3, "m": 2}},
        "b": [3],
        "c": {"d": 4, "e": 2},
    }
    other = {"class_path": "x.B", "init_args": {"k": 1}}
    assert merge(below, {"a": other})["a"] == other
    assert below["a"]["init_args"] == {"n": 1, "m": 2}


def test_settings_of_words(tmp_path):
    path = row_file(tmp_path, "trainer: {max_epochs: 1, devices: 2}\n")
    words = ["--trainer.max_epochs=9", "--config", str(path), "--trainer.devices", "8", "--data.train", "[{a: 1}]"]
    assert settings_of(words) == {"trainer": {"max_epochs": 1, "devices": 8}, "data": {"train": [{"a": 1}]}}


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("# published: {table: 1, row: a, hota: 1, mota: 2}\nmodel: {}\n", [], "row.yaml, line 1: cannot read"),
        ("# published: {table: 1, row: (a\nmodel: {}\n", [], "row.yaml, line 1: cannot read"),
        ("- 1\n", [], "expected the settings of a row"),
        ("trainer: {max_epochs: null}\n", [], "row.yaml: trainer.max_epochs is None; set it"),
        ("model: {}\n", ["--trainer.default_root_dir", "x"], "use --runs DIR"),
        ("model: {}\n", ["data.root", "x"], "after --, found 'data.root'"),
        ("model: {}\n", ["--data.root"], "after --, --data.root has no value"),
        ("model: {}\n", ["--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_wrong_input_is_named(tmp_path, base, text, words, message):
    with pytest.raises(InputError) as caught:
        load_rows([row_file(tmp_path, text)], [base], Path(), words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["class_path: A\ninit_args: {a: 1}\n", "seed_everything: 1\n", "{}\n"])
def test_other_configurations_are_no_rows(tmp_path, base, text):
    path = row_file(tmp_path, text)
    with pytest.raises(InputError, match="a row sets trainer, model, data or a callback"):
        load_rows([path], [base], tmp_path, [])


def test_missing_files_and_empty_folders_are_named(tmp_path, base):
    (tmp_path / "empty").mkdir()
    for path, message in (("empty", "empty: no .yaml in this folder"), ("no.yaml", "no.yaml: no such file")):
        with pytest.raises(InputError, match=message):
            load_rows([tmp_path / path], [base], Path(), [])
    with pytest.raises(InputError, match="other.yaml: no such file"):
        load_rows([row_file(tmp_path, "model: {}\n")], [tmp_path / "other.yaml"], Path(), [])
