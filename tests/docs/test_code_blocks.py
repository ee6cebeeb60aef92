"""Every command and block of the README and the documentation is executed, or read by what would execute it."""

import argparse
import re
import shutil
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import command_line_reference
import cv2
import fit_parser
import numpy as np
import pytest
import yaml
from page_blocks import PAGES, ROOT, blocks, commands, inline_code
from small_world import FRAMES, write_world

from jde_lightning import cli
from jde_lightning.cli.ablation_rows import load_rows, settings_of
from jde_lightning.cli.data_config import data_module_from_configs
from jde_lightning.cli.lightning_verbs import _FORCED_CALLBACKS
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.readers.data_yaml import read_data_yaml
from jde_lightning.data.readers.findings import Findings
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.tuning.search_space import read_space
from jde_lightning.structures import Detections
from jde_lightning.tracking import YOLO11JDETracker

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# programs of others; their arguments are theirs, but files of the repository that they name must exist
OTHERS = {
    *(".", "bash", "cd", "docker", "export", "git", "kubectl", "mkdir", "mkdocs", "pip", "pytest", "python", "python3"),
    *("sbatch", "squeue", "tail", "tar", "tensorboard", "unzip", "jupyter", "pre-commit", "ruff", "trtexec"),
}
# verbs that are executed on the small world, with what makes them small
EXECUTED = {
    "track": ["--imgsz", "64", "--device", "cpu"],
    "cache": [],
    "evaluate": [],  # on results that fit the ground truth, see shrunk
    "submit": [],
    "tune": ["--trials", "2", "--jobs", "1"],
    "data check": ["--data.batch_size", "2", "--data.num_workers", "0"],
}

EXPORTS = all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript", "openvino"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    for name in ("onnx", "onnxscript", "onnxruntime", "optuna"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    words = ["--weights", str(folder / "best.ckpt"), "--imgsz", "64", "--device", "cpu"]
    assert cli.main(["embed", str(folder / "MOT17" / "train"), *words, "--output", str(folder / "embeddings")]) == 0
    if EXPORTS:
        words = ["--weights", str(folder / "best.ckpt"), "--imgsz", "64", "--output", str(folder / "model.onnx")]
        assert cli.main(["export", *words]) == 0
    for name in ("configs", "benchmarks", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


# ------------------------------------------------------------------------------------------------------------ commands
COMMANDS = [(block, words) for block in blocks("bash") if not block.why_not for words in commands(block.text)]
VERBS = "|".join([*cli._LIGHTNING_VERBS, *cli._OWN_VERBS])
SPOKEN = [
    (SimpleNamespace(name=page.relative_to(ROOT).as_posix()), words)
    for page in PAGES
    for piece in inline_code(page)
    if re.match(rf"(python -m jde_lightning|jde-lightning) ({VERBS}) \S", piece) and "..." not in piece
    for words in commands(piece)
]
EXAMPLES = [
    (SimpleNamespace(name=f"{verb} --help"), words)
    for verb in cli._OWN_VERBS
    for line in re.findall(
        r"(?m)^  (jde-lightning (?:[^\n]*\\\n)*[^\n]*)", command_line_reference.parser_of(verb).epilog or ""
    )
    for words in commands(re.sub(r" {3,}\(.*\)$", "", line))
]


def label(item):
    block, words = item
    return f"{block.name}: {' '.join(words)}"[:90]


@pytest.mark.parametrize("item", [*COMMANDS, *SPOKEN, *EXAMPLES], ids=label)
def test_command_is_understood(item, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_command(item[1])


def check_command(words):
    program, *rest = words
    for word in rest:
        path = word.partition("=")[2] or word
        if re.match(r"(configs|benchmarks|docs|tests|jde_lightning)/", path) and "*" not in path:
            assert (ROOT / path.partition("::")[0]).exists(), f"{path} does not exist"
    if program == "jde-lightning":
        check_verb(rest)
    elif program in ("python", "python3") and rest[:2] == ["-m", "jde_lightning"]:
        check_verb(rest[2:])
    elif program == "python":
        check_script(rest)
    elif program in ("bash", "sbatch"):
        check_job(program, rest)
    elif program == "pip":
        check_extras(rest)
    else:
        assert program in OTHERS, f"{program}: add it to OTHERS, or say in the page why it is not executed"


def check_verb(words):
    """Let the real parser read the words of a verb."""
    words = [word for word in words if word != "--debug"]
    verb = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in cli._OWN_VERBS), words[0])
    if verb in cli._LIGHTNING_VERBS:
        if words[1:2] == ["--help"]:
            assert words[2:] == [] or (len(words) == 3 and words[2] in ("all", *SECTIONS)), words
        elif "--print_config" not in words and not any(word.endswith(".help") for word in words):
            fit_parser.parse(without_unknown_files(words))
        return
    assert verb in cli._OWN_VERBS, f"there is no verb {verb}"
    rest = words[len(verb.split()) :]
    if rest in (["--help"], ["-h"]):
        return
    module = cli._module(verb)
    parser = argparse.ArgumentParser(prog=verb, exit_on_error=False, allow_abbrev=False)
    module.add_arguments(parser)
    parser.error = lambda message: pytest.fail(f"jde-lightning {verb}: {message}")
    if getattr(module, "TAKES_DATA_FLAGS", False):
        rest, _ = cli._without_data_flags(rest)
    if getattr(module, "TAKES_FIT_ARGUMENTS", False):
        end = rest.index("--") if "--" in rest else len(rest)
        args = parser.parse_args(rest[:end])
        base = args.base or [ROOT / "configs/experiments/paper_ablation.yaml"]
        if all(Path(path).exists() for path in args.rows):
            assert load_rows([Path(path) for path in args.rows], list(map(Path, base)), Path(), rest[end + 1 :])
        fit_parser.parse(["fit", *[w for path in base for w in ("--config", str(path))], *rest[end + 1 :]])
        assert settings_of(rest[end + 1 :]) is not None
    elif getattr(module, "TAKES_DATA_FLAGS", False):
        rest, flags = cli._without_data_flags(rest)
        parser.parse_args(rest)
        fit_parser.parse(["fit", *flags])
    elif getattr(module, "PASSES_UNKNOWN_ARGUMENTS", False):
        args, unknown = parser.parse_known_args(rest)
        data_module_from_configs([path for path in args.config if path.exists()], unknown)
    else:
        parser.parse_args(rest)


def without_unknown_files(words):
    """The same without `--config X.yaml`, which stands for a file of the reader's own."""
    kept = []
    for number, word in enumerate(words):
        own = re.fullmatch(r"[\w/.]+\.yaml", word) and not word.startswith("configs/")
        if own and words[number - 1] in ("--config", "-c"):
            kept.pop()
        else:
            kept.append(word)
    return kept


def check_script(words):
    """A script of ours takes the options that a page gives it."""
    if not words[0].endswith(".py"):
        return
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    for word in words[1:]:
        if word.startswith("--"):
            assert f'"{word}"' in source, f"{words[0]} has no option {word}"


def check_job(program, words):
    """What is passed on to `fit` by a job script is what `fit` takes."""
    if "..." in words or not any(word.startswith("configs/cluster/") for word in words):
        return
    place = next(number for number, word in enumerate(words) if word.startswith("configs/cluster/"))
    passed_on = words[place + 1 :] if program == "bash" else ["fit", *words[place + 1 :]]
    check_verb(passed_on)


def check_extras(words):
    """Extras that a page installs exist."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for extras in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(setup["options.extras_require"])


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("jde-lightning track a.mp4 --weights b --output c --vido", "unrecognized arguments: --vido"),
        ("jde-lightning fit --config configs/quickstart.yaml --model.embed_dims 3", "embed_dims"),
        ("jde-lightning fit --config configs/quikstart.yaml", "does not exist"),
        ("jde-lightning data check --config configs/quickstart.yaml --data.rot x", "rot"),
        ("jde-lightning ablate configs/ablations/table2 -- --data.rot x", "rot"),
        ("jde-lightning trak a.mp4", "no verb trak"),
        ("python benchmarks/estimate_step.py --gpu 3", "no option --gpu"),
        (
            "sbatch configs/cluster/slurm_single_node.sbatch --config configs/quickstart.yaml --trainer.device 2",
            "device",
        ),
        ("conda install x", "OTHERS"),
        ('pip install -e ".[vidoe]"', "vidoe"),
    ],
)
def test_wrong_command_is_found(command, error, monkeypatch):
    monkeypatch.chdir(ROOT)
    (words,) = commands(command)
    with pytest.raises((Exception, pytest.fail.Exception), match=error):
        check_command(words)


def executed():
    for block, words in [*COMMANDS, *EXAMPLES]:
        if words[0] == "jde-lightning":
            verb = next((v for v in EXECUTED if words[1 : 1 + len(v.split())] == v.split()), None)
            runs = verb and not any(word in ("0", "$sequence", "SOURCE", "DATASETS") or "://" in word for word in words)
            runs = runs and (EXPORTS or "model.onnx" not in words)
            if runs and (verb != "data check" or "--data.root" in words):
                yield block, verb, words[1:]


@pytest.mark.slow
def test_cheap_commands_of_a_page_run_one_after_the_other(world, tmp_path, monkeypatch, capsys):
    """In the order of their pages, each page in a copy of the world, on what the commands before it wrote."""
    per_page, failed, checked = {}, [], set()
    for block, verb, words in executed():
        per_page.setdefault(block.name.partition(":")[0], []).append((block.name, verb, words))
    assert sum(map(len, per_page.values())) > 20
    for number, (_, items) in enumerate(per_page.items()):
        folder = tmp_path / str(number)
        shutil.copytree(world, folder, symlinks=True)
        monkeypatch.chdir(folder)
        done = set()
        for name, verb, words in items:
            small = shrunk(verb, words)
            before = checked if verb in ("data check", "evaluate", "submit") else done  # nothing goes on from these
            if tuple(small) in before:
                continue
            before.add(tuple(small))
            code = cli.main(small)
            printed = capsys.readouterr()
            if code != 0:
                failed.append(f"{name}: jde-lightning {' '.join(small)}\n    {code}: {printed.err.splitlines()[-1:]}")
    assert failed == [], "\n".join(failed)


def shrunk(verb, words):
    """The same command, smaller."""
    words = ["results_of_all" if verb == "submit" and word == "results" else word for word in words]
    if verb == "evaluate":
        results = "results_of_halves" if "val_half" in words else "results"
        words[words.index("--results") + 1] = "results_of_classes" if "traffic/val" in words else results
    if verb != "tune":
        return [*words, *EXECUTED[verb]]
    words = [word for word in words if word != "--table7"]  # two searches of 500 trials
    if "--folds" in words:
        del words[words.index("--folds") : words.index("--folds") + 2]
    return [*words, *EXECUTED[verb]]


# -------------------------------------------------------------------------------------------------- options in the text
def test_options_and_keys_in_the_text_exist():
    options = {"--help", "--debug", "--version", "--config", "--print_config"}
    for verb in cli._OWN_VERBS:
        options |= {
            option for action in command_line_reference.parser_of(verb)._actions for option in action.option_strings
        }
    parser = fit_parser.fit_parser()
    for action in parser._actions:
        options |= set(action.option_strings)
    for script in ROOT.glob("benchmarks/*.py"):
        options |= set(re.findall(r'"(--[a-z-]+)"', script.read_text(encoding="utf-8")))
    theirs = {  # of other programs
        *("--signal", "--time", "--nodes", "--requeue", "--exclusive", "--gpus-per-node", "--ntasks-per-node", "--mem"),
        *("--partition", "--account", "--qos", "--gpus-per-task", "--ipc", "--pid"),
        *(
            "--logdir",
            "--cpus-per-task",
            "--no-deps",
            "--strict",
            "--me",
            "--hold",
            "--dependency",
            "--exclude",
            "--export",
        ),
    }
    wrong = []
    for page in PAGES:
        for piece in inline_code(page):
            if re.match(
                r"(\.\.\. |jde-lightning|python|pip|sbatch|torchrun|srun|docker|singularity|apptainer|trtexec)", piece
            ):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][\w.-]*", piece):
                of_class = re.match(r"--(data\.train|data\.val|model\.\w+|tracking_hota\.tracker)\.", option)
                if option.rstrip(".") not in options | theirs and not of_class and not option.endswith("..."):
                    wrong.append(f"{page.relative_to(ROOT)}: {option}")
    assert "\n".join(wrong) == ""


# --------------------------------------------------------------------------------------------------- Python and YAML
PYTHON = [block for block in blocks("python") if not block.why_not]
YAML = [block for block in blocks("yaml") if not block.why_not]


@pytest.fixture
def names(world, tmp_path, monkeypatch):
    """What a reader of the pages has at hand already."""
    shutil.copytree(world, tmp_path / "world", symlinks=True)
    monkeypatch.chdir(tmp_path / "world")
    predictor = Predictor.from_checkpoint("best.ckpt", device="cpu", max_det=20)
    paths = sorted(Path("MOT17/train/MOT17-09-FRCNN/img1").iterdir())
    images = [cv2.imread(str(path)) for path in paths]
    frames = predictor.detect(images)
    tracker = YOLO11JDETracker(frame_rate=30)
    numbers = [1, 2, 4, 5, 8]
    module = JDEDataModule(
        root="crowd", train=[MOTChallenge(path=".")], val=[MOTChallenge(path=".")], batch_size=2, num_workers=0
    )
    module.setup("validate")
    return {
        "Path": Path,
        "YOLO11JDETracker": YOLO11JDETracker,
        "data_module": module,
        "detect": lambda image: predictor.detect([image])[0],
        "detections": frames[0],
        "explanations": None,
        "frame": 1,
        "frames": frames,
        "image": images[0],
        "images": images,
        "np": np,
        "predictor": predictor,
        "results": Path("results"),
        "source": [SimpleNamespace(number=number, image=images[number - 1]) for number in numbers],
        "tracker": tracker,
        "tracks": YOLO11JDETracker(frame_rate=30).update(frames[0]),
        "botsort": BotSort(),
    }


class BotSort:
    """Ultralytics' BoT-SORT, made when it is used: it wants its own configuration."""

    def update(self, *arguments):
        from types import SimpleNamespace as Parameters

        from ultralytics.trackers.bot_sort import BOTSORT

        values = {"track_high_thresh": 0.25, "track_low_thresh": 0.1, "new_track_thresh": 0.25, "track_buffer": 30}
        values |= {"match_thresh": 0.8, "fuse_score": True, "gmc_method": "none", "proximity_thresh": 0.5}
        return BOTSORT(Parameters(**values, appearance_thresh=0.8, with_reid=True, model="auto")).update(*arguments)


PAGES_WITH_PYTHON = sorted({block.page for block in PYTHON})


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON)
def test_python_of_a_page_runs(page, names):
    ran = 0
    for block in PYTHON:
        if block.page != page:
            continue
        if block.needs and find_spec(block.needs) is None:
            continue
        if "model.onnx" in block.text and not EXPORTS:
            continue
        here = dict(names)
        exec(compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec"), here)
        names |= {name: value for name, value in here.items() if name not in names}
        ran += 1
    if not ran:
        pytest.skip("needs a package that is not installed")


SECTIONS = {"trainer", "model", "data", *_FORCED_CALLBACKS}


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.name)
def test_yaml_is_what_its_reader_takes(block, tmp_path, world):
    check_yaml(block.text, tmp_path, world)


def check_yaml(text, folder, world):
    path = folder / "data.yaml"
    path.write_text(text)
    content = yaml.safe_load(text)
    if set(content) <= SECTIONS:
        fit_parser.parse(["fit", "--config", str(path)])
        if "data" in content:
            data_module_from_configs([path])
    elif "class_path" in content:
        assert load_tracker_factory(str(path))(30.0) is not None
    elif {"train", "names"} <= set(content):
        shutil.copytree(world / "street", folder / "street")
        path = Path(shutil.move(path, folder / "street" / "data.yaml"))
        assert read_data_yaml(path, "train", folder / "street", Findings()) is not None
    elif "row" in content or "published" in content:
        assert content
    else:
        read_space(path, YOLO11JDETracker)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("model: {embed_dims: 3}", "embed_dims"),
        ("data: {train: [{class_path: CrowdHuman, init_args: {pth: x}}]}", "pth"),
        ("class_path: YOLO11JDETracker\ninit_args: {first_match: 1}", "first_match"),
        ("track_hihg_thresh: [0.1, 0.2]", "track_hihg_thresh"),
    ],
)
def test_wrong_yaml_is_found(text, error, tmp_path, world):
    with pytest.raises(Exception, match=error):
        check_yaml(text, tmp_path, world)


def test_world_is_small(world):
    assert FRAMES < 10
    assert isinstance(Detections.__doc__, str)
    assert sum(path.stat().st_size for path in world.rglob("*") if path.is_file() and not path.is_symlink()) < 60e6
