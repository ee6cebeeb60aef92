"""Every row of the paper's Tables 1 to 6 has its file, which changes what the row changes over the base, no more."""

from pathlib import Path

import pytest
import yaml

from jde_lightning.cli.ablation_rows import load_rows
from jde_lightning.cli.ablation_settings import differences, set_otherwise
from jde_lightning.cli.lightning_verbs import JDELightningCLI

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BASE = CONFIGS / "experiments" / "paper_ablation.yaml"
ABLATIONS = CONFIGS / "ablations"

SETTINGS_OF_BASE = {
    "mining": ("hard", "semihard"),
    "margin": 0.075,
    "swap": False,
    "smooth": False,
    "top": 1.0,
    "weight": 1.0,
    "dim": 128,
    "train": ["CrowdHuman", "MOTChallenge self"],
}
DETECTION_SETS = ["CrowdHuman", "ETH", "CityPersons"]

# table, row, HOTA, MOTA, IDF1 as printed in the paper; file; what differs from the base
PAPER = [
    (1, "(Hard, Hard)", 51.66, 55.23, 59.41, "hard_hard", {"mining": ("hard", "hard"), "margin": 0.05}),
    (1, "(Hard, Semi-hard)", 55.91, 56.04, 65.31, "hard_semihard", {"margin": 0.05}),
    (1, "(Hard, Easy)", 51.01, 56.22, 58.76, "hard_easy", {"mining": ("hard", "easy"), "margin": 0.05}),
    (1, "(Semi-hard, Hard)", 53.93, 55.11, 62.34, "semihard_hard", {"mining": ("semihard", "hard"), "margin": 0.05}),
    (1, "(Semi-hard, Easy)", 50.46, 57.03, 57.90, "semihard_easy", {"mining": ("semihard", "easy"), "margin": 0.05}),
    (1, "(Easy, Hard)", 53.76, 54.21, 61.50, "easy_hard", {"mining": ("easy", "hard"), "margin": 0.05}),
    (1, "(Easy, Semi-Hard)", 55.72, 56.76, 65.25, "easy_semihard", {"mining": ("easy", "semihard"), "margin": 0.05}),
    (2, "0.025", 56.03, 56.81, 65.40, "margin_0.025", {"margin": 0.025}),
    (2, "0.05", 55.91, 56.04, 65.31, "margin_0.05", {"margin": 0.05}),
    (2, "0.075", 56.37, 56.38, 66.45, "margin_0.075", {}),
    (2, "0.1", 55.62, 55.88, 65.42, "margin_0.1", {"margin": 0.1}),
    (2, "0.075 (smooth)", 56.21, 57.61, 66.50, "margin_0.075_smooth", {"smooth": True}),
    (2, "0.075 (swap)", 55.42, 56.07, 64.76, "margin_0.075_swap", {"swap": True}),
    (3, "100", 56.37, 56.38, 66.45, "top_100", {}),
    (3, "75", 55.88, 56.52, 65.56, "top_75", {"top": 0.75}),
    (3, "50", 55.64, 56.69, 64.34, "top_50", {"top": 0.5}),
    (4, "0.5", 55.92, 56.59, 65.24, "weight_0.5", {"weight": 0.5}),
    (4, "1", 56.37, 56.38, 66.45, "weight_1", {}),
    (4, "1.5", 55.27, 56.59, 64.58, "weight_1.5", {"weight": 1.5}),
    (5, "64", 56.27, 58.31, 66.03, "dim_64", {"dim": 64}),
    (5, "128", 56.37, 56.38, 66.45, "dim_128", {}),
    (5, "256", 55.44, 56.26, 65.09, "dim_256", {"dim": 256}),
    (6, "CH", 52.39, 58.53, 65.12, "crowdhuman", {"train": ["CrowdHuman"]}),
    (6, "CH, MOT17*", 56.37, 56.38, 66.45, "crowdhuman_mot17_boxes", {}),
    (6, "CH, MOT17", 55.21, 57.06, 64.54, "crowdhuman_mot17", {"train": ["CrowdHuman", "MOTChallenge weak"]}),
    (
        6,
        "CH, ETH, CP, MOT17*",
        56.20,
        57.38,
        65.96,
        "crowdhuman_eth_citypersons_mot17_boxes",
        {"train": [*DETECTION_SETS, "MOTChallenge self"]},
    ),
    (
        6,
        "CH, ETH, CP, MOT17",
        55.54,
        57.83,
        65.14,
        "crowdhuman_eth_citypersons_mot17",
        {"train": [*DETECTION_SETS, "MOTChallenge weak"]},
    ),
]


class Parsed(JDELightningCLI):
    """Parses and builds everything but the trainer's run."""

    def _run_subcommand(self, subcommand):
        pass


def test_every_row_has_a_file_and_every_file_is_a_row():
    expected = {ABLATIONS / f"table{table}" / f"{stem}.yaml" for table, *_, stem, _ in PAPER}
    assert set(ABLATIONS.rglob("*.yaml")) == expected


@pytest.mark.parametrize("row", PAPER, ids=lambda row: f"table{row[0]}/{row[5]}")
def test_row_over_its_base(row, tmp_path):
    table, name, hota, mota, idf1, stem, changed = row
    path = ABLATIONS / f"table{table}" / f"{stem}.yaml"
    published = yaml.safe_load(path.read_text().splitlines()[2].removeprefix("# published:"))
    assert published == {"table": table, "row": published["row"], "hota": hota, "mota": mota, "idf1": idf1}
    assert str(published["row"]) == name

    words = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.default_root_dir", str(tmp_path)]
    cli = Parsed(["fit", "--config", str(BASE), "--config", str(path), *words])
    saved = yaml.safe_load(cli._parser("fit").dump(cli.config["fit"], skip_none=False))
    reid = saved["model"]["reid_loss"]["init_args"]
    mining, loss = reid["miner"]["init_args"], reid["loss"]["init_args"]
    effective = {
        "mining": (mining["pos_strategy"], mining["neg_strategy"]),
        "margin": loss["margin"],
        "swap": loss["swap"],
        "smooth": loss["smooth_loss"],
        "top": cli.model.loss.reid_loss.top_confidence,
        "weight": cli.model.loss.reid,
        "dim": cli.model.network.embed_dim,
        "train": [
            f"{type(reader).__name__} {reader.supervision}".removesuffix(" self" if not is_video(reader) else "")
            for reader in cli.datamodule.readers["train"]
        ],
    }
    assert effective == SETTINGS_OF_BASE | changed
    assert (saved["model"]["scale"], saved["trainer"]["max_epochs"], saved["data"]["image_size"]) == ("s", 30, 640)
    # FairMOT's tracker with FairMOT's own defaults (section 4.3), not the tuned ones of Table 7
    tracker = cli.trainer.callbacks[
        [type(callback).__name__ for callback in cli.trainer.callbacks].index("TrackingHOTA")
    ].tracker(30.0)
    assert type(tracker).__name__ == "FairMOTTracker"
    limits = (tracker.conf_thresh, tracker.first_match_thresh, tracker.second_match_thresh, tracker.new_match_thresh)
    assert limits == (0.4, 0.4, 0.5, 0.7)

    # what `ablate` compares a finished run with is what the run would write
    (read,) = load_rows([path], [BASE], Path(), [])
    assert differences(read.settings, saved) == []
    assert set_otherwise(read.settings, saved) == []
    saved["model"]["reid_loss"]["init_args"]["loss"]["init_args"]["margin"] = 0.3
    assert differences(read.settings, saved) == ["model.reid_loss.init_args.loss.init_args.margin"]


def is_video(reader):
    return type(reader).__name__ == "MOTChallenge"


def test_rows_share_a_run_folder_exactly_where_they_share_all_settings():
    rows = load_rows([ABLATIONS], [BASE], Path(), [])
    for row in rows:
        for other in rows:
            mine, theirs = ({**r.settings, "trainer": {**r.settings["trainer"]}} for r in (row, other))
            for settings in (mine, theirs):
                settings["trainer"].pop("default_root_dir")
            assert (row.root == other.root) == (mine == theirs), (row.path, other.path)
    assert len({row.root for row in rows}) == 22
