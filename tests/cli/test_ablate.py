"""`ablate` on two tiny rows and a broken one over the synthetic crowd, and its bookkeeping without training."""

import csv
import shlex

import pytest

from jde_lightning.cli import child, main
from jde_lightning.data.synthetic import SyntheticCrowd

BASE = """
trainer: {accelerator: cpu, max_epochs: 2, enable_progress_bar: false, enable_model_summary: false,
          log_every_n_steps: 1, num_sanity_val_steps: 0}
model:
  scale: n
  embed_dim: 32
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 2e-3}}
data:
  root: ROOT/data
  train: [{class_path: MOTChallenge, init_args: {path: MOT17/train}}]
  val: [{class_path: MOTChallenge, init_args: {path: MOT17/val}}]
  image_size: 96
  batch_size: 2
  num_workers: 0
pictures: {every_n_epochs: 0}
tracking_hota: {tracker: FairMOTTracker, pictures: false}
"""
ROWS = {
    "dim_16": '# published: {table: 5, row: "16", hota: 10.5, mota: 20.25, idf1: 30}\nmodel: {embed_dim: 16}\n',
    "dim_8": "model: {embed_dim: 8}\n",
    "broken": "model: {embed_dimension: 8}\n",
}
METRICS = "epoch,step,train/box_loss,val/hota,val/mota,val/idf1\n"
FIRST = "0,1,1.5,,,\n0,1,,0.25,0.5,0.375\n"
SECOND = "1,3,1.2,,,\n1,3,,0.2,-0.5,0.4\n"


def lines(folder):
    with (folder / "ablations.csv").open() as file:
        return {line["row"]: line for line in csv.DictReader(file)}


@pytest.fixture
def rows(tmp_path):
    """Rows and base as files, and what names them on the command line."""
    (tmp_path / "rows").mkdir()
    for name, text in ROWS.items():
        (tmp_path / "rows" / f"{name}.yaml").write_text(text)
    (tmp_path / "base.yaml").write_text(BASE.replace("ROOT", str(tmp_path)))
    return tmp_path


def words(folder, *more, which=("rows",)):
    named = [str(folder / name) for name in which]
    places = ["--base", str(folder / "base.yaml"), "--runs", str(folder), "--table", str(folder / "table")]
    return ["ablate", *named, *places, *more]


@pytest.fixture
def finished(rows):
    """Run folders as two trainings leave them: one finished, one interrupted in its second epoch."""
    for name, dim, text in (("dim_16", 16, FIRST + SECOND), ("dim_8", 8, FIRST)):
        run = rows / "runs" / "rows" / name / "version_0"
        (run / "checkpoints").mkdir(parents=True)
        config = BASE.replace("ROOT", "elsewhere").replace("embed_dim: 32", f"embed_dim: {dim}")
        (run / "config.yaml").write_text(config.replace("2e-3", "0.002"))
        (run / "metrics.csv").write_text(METRICS + text)
        (run / "checkpoints" / "last.ckpt").write_bytes(b"")
    return rows


@pytest.fixture
def commands(monkeypatch):
    """What would have been run; nothing is."""
    seen = []

    def run_command(command):
        seen.append(list(command))
        return 1, "error: no training in this test"

    monkeypatch.setattr(child, "run_command", run_command)
    return seen


@pytest.mark.slow
def test_rows_are_trained_one_fails_and_the_table_has_all(rows, monkeypatch, capsys):
    SyntheticCrowd(train_sequences=1, val_sequences=1, frames=4, stills=1, width=160, height=96, people=3).write(
        rows / "data"
    )
    more = ["--", "--trainer.max_epochs=1", "--model.optimizer.init_args.lr", "1e-3"]
    assert main(words(rows, *more)) == 1
    found = lines(rows / "table")
    for name in ("16", "dim_8"):
        assert found[name]["epochs"] == "1"
        assert float(found[name]["hota"]) >= 0
        assert not found[name]["note"]
    assert float(found["16"]["hota_difference"]) == pytest.approx(float(found["16"]["hota"]) - 10.5, abs=0.011)
    assert "embed_dimension" in found["broken"]["note"]
    assert found["broken"]["run"] == found["broken"]["hota"] == ""
    out = capsys.readouterr().out
    assert out.startswith((rows / "table" / "ablations.md").read_text())

    # again: only what is not finished is trained
    trained = []
    monkeypatch.setattr(child, "run_command", lambda command: (trained.append(command), (1, "no"))[1])
    assert main(words(rows, *more)) == 1
    assert [str(rows / "rows" / "broken.yaml") in command for command in trained] == [True]


def test_report_only_collects_the_last_validation_and_trains_nothing(finished, commands):
    assert main(words(finished, "--report-only")) == 0
    assert commands == []
    found = lines(finished / "table")
    assert list(found) == ["broken", "dim_8", "16"]
    done = found["16"]
    assert (done["table"], done["hota"], done["mota"], done["idf1"]) == ("5", "20.00", "-50.00", "40.00")
    assert (done["hota_published"], done["mota_difference"], done["idf1_difference"]) == ("10.50", "-70.25", "+10.00")
    assert (done["epochs"], done["run"]) == ("2", str(finished / "runs/rows/dim_16/version_0"))
    assert (found["dim_8"]["note"], found["dim_8"]["hota"]) == ("unfinished, epoch 1 of 2", "")
    assert found["broken"]["note"] == "not run"
    assert "validated at 96 px (paper: 1088), random initial weights" in (finished / "table/ablations.md").read_text()


def test_best_epoch_is_the_one_of_the_highest_hota(finished, commands):
    assert main(words(finished, "--report-only", "--epoch", "best")) == 0
    assert lines(finished / "table")["16"]["hota"] == "25.00"


def test_finished_rows_are_skipped_and_interrupted_ones_go_on(finished, commands, capsys):
    assert main(words(finished, which=["rows/dim_16.yaml", "rows/dim_8.yaml"])) == 1
    assert len(commands) == 1
    run = finished / "runs" / "rows" / "dim_8" / "version_0"
    assert commands[0][-2:] == ["--ckpt_path", str(run)]
    error = capsys.readouterr().err
    assert "[1/2]" in error
    assert "finished in" in error
    assert lines(finished / "table")["dim_8"]["note"] == "failed, exit code 1: error: no training in this test"


def test_a_run_with_other_settings_is_not_the_row_s(finished, commands, capsys):
    assert main(words(finished, "--report-only", "--", "--trainer.max_epochs", "3", "--data.root", "x")) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 16 |")]
    assert "not run with these settings: " in line
    assert line.endswith("version_0 differs in trainer.max_epochs |")


def test_a_run_of_a_few_batches_is_not_the_row_s(finished, commands, capsys):
    config = finished / "runs" / "rows" / "dim_16" / "version_0" / "config.yaml"
    few = "trainer: {limit_train_batches: 4, limit_val_batches: 3, "
    config.write_text(config.read_text().replace("trainer: {", few))
    assert main(words(finished, "--report-only")) == 1
    assert "differs in trainer.limit_train_batches, trainer.limit_val_batches |" in capsys.readouterr().out
    more = ["--trainer.limit_train_batches", "4", "--trainer.limit_val_batches", "3"]
    assert main(words(finished, "--report-only", "--", *more)) == 0
    assert lines(finished / "table")["16"]["hota"] == "20.00"


def test_no_empty_table_replaces_a_filled_one(finished, commands, capsys):
    assert main(words(finished, "--report-only")) == 0
    before = {path: path.read_bytes() for path in (finished / "table").iterdir()}
    capsys.readouterr()
    other = ["--", "--trainer.max_epochs", "3"]
    assert main(words(finished, "--report-only", *other)) == 1
    error = capsys.readouterr().err
    assert "no finished run of these settings" in error
    assert "Repeat the arguments after --" in error
    assert main(words(finished, *other)) == 1  # they all fail
    assert len(commands) == 3
    assert "is left as it was" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (finished / "table").iterdir()} == before


def test_report_of_nothing_writes_nothing(rows, commands):
    assert main(words(rows, "--report-only")) == 1
    assert not (rows / "table").exists()


def test_table_lies_beside_the_runs(finished, commands, monkeypatch):
    named = ["ablate", str(finished / "rows"), "--base", str(finished / "base.yaml"), "--report-only"]
    assert main([*named, "--runs", str(finished)]) == 0
    assert lines(finished / "runs" / "ablations")["16"]["hota"] == "20.00"
    (finished / "runs" / "ablations" / "ablations.csv").unlink()
    monkeypatch.chdir(finished)
    assert main(named) == 0  # the runs lie here, and so does the table
    assert lines(finished / "runs" / "ablations")["16"]["hota"] == "20.00"


def test_rows_with_one_run_are_trained_and_fail_once(rows, commands, capsys):
    for name in ("a", "b"):
        (rows / f"{name}.yaml").write_text("trainer: {default_root_dir: shared}\nmodel: {embed_dim: 24}\n")
    assert main(words(rows, "--print-commands", which=["a.yaml", "b.yaml"])) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(words(rows, which=["a.yaml", "b.yaml"])) == 1
    assert len(commands) == 1
    assert {line["note"] for line in lines(rows / "table").values()} == {
        "failed, exit code 1: error: no training in this test"
    }


def test_interruption_leaves_the_table(finished, monkeypatch):
    def interrupted(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "run_command", interrupted)
    assert main(words(finished)) == 130
    assert lines(finished / "table")["16"]["hota"] == "20.00"


def test_print_commands_prints_what_is_not_finished_once(finished, commands, capsys):
    assert main(words(finished, "--print-commands", "--", "--data.root", "my data")) == 0
    assert commands == []
    assert not (finished / "table").exists()
    printed = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in printed] == [["jde-lightning", "fit"]] * 2
    broken = printed[0][2:]
    root = ["--trainer.default_root_dir", str(finished / "runs/rows/broken")]
    configs = ["--config", str(finished / "base.yaml"), "--config", str(finished / "rows/broken.yaml")]
    assert broken == [*configs, *root, "--data.root", "my data"]
    assert printed[1][-2] == "--ckpt_path"


def test_help_explains_itself_with_an_example(capsys):
    assert main(["ablate", "--help"]) == 0
    out = capsys.readouterr().out
    assert "jde-lightning ablate configs/ablations/table2 -- --data.root" in out
    assert main(["ablate"]) == 2
