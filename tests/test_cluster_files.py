"""The cluster scripts, run: SLURM is played by two small programs on PATH, torchrun is the real one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from jde_lightning.data.synthetic import SyntheticCrowd

REPOSITORY = Path(__file__).resolve().parents[1]
CLUSTER = REPOSITORY / "configs" / "cluster"
SCRIPTS = ["slurm_single_node.sbatch", "slurm_multi_node.sbatch"]
JOB = "4711"

# Starts the command as many times as SLURM would on its nodes, one after the other on none and side by side otherwise,
# and ends with the highest code, as the real one does.
SRUN = """#!/usr/bin/env python3
import os, subprocess, sys
words = sys.argv[1:]
tasks, per_node = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NTASKS_PER_NODE"])
output = None
while words[0].startswith("--"):
    name, _, value = words.pop(0).partition("=")
    assert value, f"srun's options are written --name=value here, got {name}"
    tasks = int(value) if name == "--ntasks" else tasks
    per_node = int(value) if name == "--ntasks-per-node" else per_node
    output = value if name == "--output" else output
with open(os.environ["SRUN_CALLS"], "a") as file:
    file.write(f"{tasks} " + " ".join(words).replace(chr(10), " ") + chr(10))
running = []
for rank in range(tasks):
    env = dict(os.environ, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank % per_node),
               SLURM_NODEID=str(rank // per_node), SLURM_NTASKS=str(tasks), SLURM_NTASKS_PER_NODE=str(per_node))
    log = output and open(output.replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", str(rank)), "a")
    running.append(subprocess.Popen(words, env=env, stdout=log, stderr=log, start_new_session=True))
if "SIGNAL_AFTER" in os.environ and words[0] == "jde-lightning":
    import signal, time
    deadline = time.time() + 120
    while time.time() < deadline and not os.path.exists(os.environ["SIGNAL_AFTER"]):
        time.sleep(0.2)
    for process in running:
        os.killpg(process.pid, signal.SIGUSR1)  # SLURM tells all processes of a step, the loaders too
codes = [process.wait() for process in running]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = '#!/bin/sh\necho "$@" >> "$SCONTROL_CALLS"\nexit "${SCONTROL_CODE:-0}"\n'
# Ends with the first of the codes that are left, and says what it was asked.
STUB = """#!/bin/sh
echo "$@" >> "$STUB_CALLS"
code=$(head -n 1 "$STUB_CODES")
[ "${SLURM_PROCID:-0}" = "$((SLURM_NTASKS - 1))" ] || code=0
exit "$code"
"""
CONFIG = """
trainer: {max_epochs: 2, enable_progress_bar: false, enable_model_summary: false, log_every_n_steps: 1,
          num_sanity_val_steps: 0}
model: {scale: n, embed_dim: 32, optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.002}}}
data:
  train: [{class_path: MOTChallenge, init_args: {path: MOT17/train}}]
  val: [{class_path: MOTChallenge, init_args: {path: MOT17/val}}]
  image_size: 96
  batch_size: 2
pictures: {every_n_epochs: 0}
"""


class Cluster:
    """A folder with programs that play SLURM, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program("srun", SRUN)
        self.program("scontrol", SCONTROL)
        self.env = {
            "PATH": f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", str(folder)),
            "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
            "PYTHONFAULTHANDLER": "1",  # see finish()
            "TMPDIR": str(folder / "local"),
            "SLURM_JOB_ID": JOB,
            "SLURM_JOB_NAME": "jde",
            "SLURM_NNODES": "1",
            "SLURM_NTASKS": "2",
            "SLURM_NTASKS_PER_NODE": "2",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_NODELIST": "127.0.0.1",
            "VENV": "",
            "KIT": str(CLUSTER),
            "ACCELERATOR": "cpu",
            **{name: str(folder / name) for name in ("SRUN_CALLS", "SCONTROL_CALLS", "STUB_CALLS", "STUB_CODES")},
        }
        (folder / "local").mkdir()

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def stub(self, code: int) -> None:
        self.program("jde-lightning", STUB)
        (self.folder / "STUB_CODES").write_text(f"{code}\n")

    def run(self, script: str, *words: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess:
        process = subprocess.Popen(
            ["bash", str(CLUSTER / script), *words],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stdout, stderr = self.finish(process, timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def finish(self, process: subprocess.Popen, timeout: float) -> tuple[str, str]:
        """Wait for a job, whose processes say where they are and end if it takes too long, none stays behind."""
        try:
            return process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in reversed(family):
                if "python" in member.name():
                    member.send_signal(signal.SIGABRT)  # faulthandler writes the stacks into its log
            _, alive = psutil.wait_procs(family, timeout=5)
            for member in alive:
                member.kill()
            stdout, stderr = process.communicate(timeout=30)
            logs = "".join(f"{path.name}:\n{path.read_text()}" for path in sorted(self.folder.rglob("*.log")))
            pytest.fail(f"not finished after {timeout} s\n{stdout}\n{stderr or ''}\n{logs}")

    def asked(self, name: str) -> list[str]:
        path = self.folder / f"{name}_CALLS"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=8, stills=2, width=160, height=96, people=4).write(folder)
    (folder / "config.yaml").write_text(CONFIG)
    return folder


@pytest.mark.parametrize("path", sorted(CLUSTER.iterdir()), ids=lambda path: path.name)
def test_says_what_it_is_for_and_how_it_is_run_and_names_no_machine(path):
    lines = path.read_text().splitlines()
    if path.suffix != ".md":
        comments = [line for line in lines[:5] if line.startswith("# ") and "shellcheck" not in line]
        assert re.match(r"# [A-Z].*", comments[0])
        assert re.match(r"# .*(sbatch|docker|apptainer|kubectl|bash) .*", "\n".join(comments[1:]), re.DOTALL)
    assert not re.search(r"/(home|work/|root|scratch|mnt)\b(?!\")", path.read_text()), "a path of somebody's machine"
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("name", [*SCRIPTS, "slurm_job.sh", "torchrun.sh"])
def test_is_valid_bash(name):
    subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_sbatch_lines_that_requeueing_needs(script):
    lines = [line.split("#")[1].strip() for line in (CLUSTER / script).read_text().splitlines() if "#SBATCH" in line]
    options = dict(line.removeprefix("SBATCH --").partition("=")[::2] for line in lines)
    assert options["signal"].startswith("USR1@"), "without B:, or only the shell is told"
    assert "requeue" in options
    assert options["open-mode"] == "append"
    assert "gpus-per-task" not in options
    assert options["gpus-per-node"] == options["ntasks-per-node"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_code_75_requeues_this_job_and_the_same_command_goes_on(cluster, script):
    cluster.stub(75)
    first = cluster.run(script, "--config", "a.yaml", "--model.scale", "n")
    assert first.returncode == 75, first.stderr
    assert cluster.asked("SCONTROL") == [f"requeue {JOB}"]
    cluster.stub(0)
    second = cluster.run(script, "--config", "a.yaml", "--model.scale", "n", SLURM_RESTART_COUNT="1")
    assert second.returncode == 0, second.stderr
    assert cluster.asked("SCONTROL") == [f"requeue {JOB}"]
    commands = cluster.asked("STUB")
    assert len(set(commands)) == 1, "two starts of two processes, all the same command"
    words = commands[0].split()
    assert words[:5] == ["fit", "--config", "a.yaml", "--model.scale", "n"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    assert given["--ckpt_path"] == "last_or_new"
    assert given["--trainer.default_root_dir"] == f"runs/slurm-{JOB}"
    assert (given["--trainer.num_nodes"], given["--trainer.devices"]) == ("1", "2")


@pytest.mark.parametrize("code", [1, 2, 137])
def test_another_code_is_passed_on_and_nothing_is_requeued(cluster, code):
    cluster.stub(code)
    result = cluster.run(SCRIPTS[0], "--config", "a.yaml")
    assert result.returncode == code
    assert cluster.asked("SCONTROL") == []
    assert f"ended with code {code}" in result.stdout


def test_requeueing_ends_some_time_and_says_how_to_go_on_where_it_is_refused(cluster):
    cluster.stub(75)
    result = cluster.run(SCRIPTS[0], SLURM_RESTART_COUNT="3", MAX_REQUEUES="3")
    assert result.returncode == 75
    assert cluster.asked("SCONTROL") == []
    assert f"MAX_REQUEUES is 3; RUNS=runs/slurm-{JOB}" in result.stdout
    refused = cluster.run(SCRIPTS[0], SCONTROL_CODE="1")
    assert refused.returncode == 75
    assert f"refused; RUNS=runs/slurm-{JOB}" in refused.stdout


def test_archives_are_unpacked_once_per_node_to_the_local_disk(cluster):
    cluster.stub(0)
    folder = cluster.folder / "archives"
    folder.mkdir()
    for name in ("a", "b"):
        (cluster.folder / f"{name}.txt").write_text(name)
        subprocess.run(["tar", "-cf", folder / f"{name}.tar", "-C", cluster.folder, f"{name}.txt"], check=True)
    nodes = {"SLURM_NNODES": "3", "SLURM_NTASKS": "6"}
    result = cluster.run(SCRIPTS[1], "--config", "a.yaml", ARCHIVES=str(folder), **nodes)
    assert result.returncode == 0, result.stderr
    local = cluster.folder / "local" / f"jde-{JOB}"
    assert (local / "a.txt").read_text() + (local / "b.txt").read_text() == "ab"
    unpacking, training = cluster.asked("SRUN")
    assert unpacking.startswith("3 bash")
    assert training.startswith("6 jde-lightning fit")
    assert f"--data.root {local} " in training
    (local / "a.txt").write_text("kept")  # a requeued job finds it unpacked
    assert cluster.run(SCRIPTS[1], "--config", "a.yaml", ARCHIVES=str(folder), **nodes).returncode == 0
    assert (local / "a.txt").read_text() == "kept"


def test_a_broken_archive_ends_the_job_before_training(cluster):
    cluster.stub(0)
    (cluster.folder / "archives").mkdir()
    (cluster.folder / "archives" / "a.tar").write_text("no archive")
    result = cluster.run(SCRIPTS[0], "--config", "a.yaml", ARCHIVES=str(cluster.folder / "archives"))
    assert result.returncode not in (0, 75)
    assert cluster.asked("STUB") == []
    assert not (cluster.folder / "local" / f"jde-{JOB}" / ".complete").exists()


def test_manifest_has_the_fields_of_kubeflow():
    job = yaml.safe_load((CLUSTER / "pytorchjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    spec = job["spec"]
    assert set(spec) <= {"elasticPolicy", "nprocPerNode", "pytorchReplicaSpecs", "runPolicy"}
    assert isinstance(spec["nprocPerNode"], str), "the schema wants a string"
    policy = {"activeDeadlineSeconds", "backoffLimit", "cleanPodPolicy", "schedulingPolicy", "ttlSecondsAfterFinished"}
    assert set(spec["runPolicy"]) <= policy | {"suspend", "managedBy"}
    assert spec["runPolicy"]["cleanPodPolicy"] in ("None", "All", "Running")
    assert set(spec["pytorchReplicaSpecs"]) == {"Master", "Worker"}
    for replica in spec["pytorchReplicaSpecs"].values():
        assert set(replica) == {"replicas", "restartPolicy", "template"}
        # under ExitCode the operator takes 75, as all below 128, for a permanent error
        assert replica["restartPolicy"] == "OnFailure"
    pod = spec["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["name"] == "pytorch"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts["/dev/shm"] == "shm"
    assert set(mounts.values()) == set(volumes)
    given = dict(word.removeprefix("--").split("=") for word in container["args"][1:])
    nodes = sum(replica["replicas"] for replica in spec["pytorchReplicaSpecs"].values())
    assert given["trainer.num_nodes"] == str(nodes)
    assert given["trainer.devices"] == spec["nprocPerNode"] == container["resources"]["limits"]["nvidia.com/gpu"]
    assert (given["ckpt_path"]) == "last_or_new"
    assert given["trainer.default_root_dir"].startswith("/runs/")
    assert (REPOSITORY / given["config"].removeprefix("/opt/jde-lightning/")).is_file()


def run_torchrun(cluster, module, *words, **env):
    """Start torchrun.sh with a package in the place of ours, if its source is given."""
    path = cluster.env["PYTHONPATH"]
    if module is not None:
        package = cluster.folder / "stub" / "jde_lightning"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(module)
        path = str(package.parent)
    env = {key: value for key, value in cluster.env.items() if not key.startswith("SLURM")} | env
    return subprocess.Popen(
        ["bash", str(CLUSTER / "torchrun.sh"), *words],
        cwd=cluster.folder,
        env=env | {"PYTHONPATH": path, "GPUS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 3, 75])
def test_torchrun_passes_on_what_the_processes_ended_with(cluster, code):
    process = run_torchrun(cluster, f"import sys\nsys.exit({code})", "fit")
    output, _ = cluster.finish(process, timeout=120)
    assert process.returncode == code, output


@pytest.mark.slow
def test_torchrun_adds_the_flags_that_are_not_given(cluster):
    module = "import os, sys\nif os.environ['RANK'] == '0':\n    print('WORDS', *sys.argv[1:])"
    process = run_torchrun(
        cluster, module, "fit", "--config", "a.yaml", "--trainer.devices=2", "--trainer.strategy", "x"
    )
    output, _ = cluster.finish(process, timeout=120)
    assert process.returncode == 0, output
    added = "--trainer.use_distributed_sampler false --trainer.num_nodes 1"
    assert f"WORDS fit --config a.yaml --trainer.devices=2 --trainer.strategy x {added}\n" in output


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_to_torchrun_reaches_the_processes(cluster, name, code):
    stub = """
import os, pathlib, signal, sys, time
rank = os.environ["RANK"]
def stop(number, frame):
    pathlib.Path(f"told{rank}").write_text(signal.Signals(number).name)
    sys.exit(75)
for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
    signal.signal(signal.Signals[name], stop)
pathlib.Path(f"ready{rank}").touch()
time.sleep(100)
"""
    process = run_torchrun(cluster, stub, "fit")
    deadline = time.monotonic() + 60
    while len(list(cluster.folder.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.Signals[name])
    output, _ = cluster.finish(process, timeout=60)
    assert process.returncode == code, output
    assert len(list(cluster.folder.glob("told*"))) == 2


def fit_words(crowd, runs):
    return [
        *("fit", "--config", str(crowd / "config.yaml"), "--data.root", str(crowd), "--data.num_workers", "0"),
        *("--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(runs)),
    ]


@pytest.mark.slow
def test_torchrun_trains_on_two_processes(cluster, crowd):
    runs = cluster.folder / "runs"
    process = run_torchrun(cluster, None, *fit_words(crowd, runs), "--trainer.max_epochs", "1")
    output, _ = cluster.finish(process, timeout=280)
    assert process.returncode == 0, output[-3000:]
    assert (runs / "version_0" / "checkpoints" / "last.ckpt").is_file()
    logs = sorted(path.parent.name for path in (cluster.folder / "runs" / "torchrun-logs").rglob("stderr.log"))
    assert logs == ["0", "1"]


@pytest.mark.slow
def test_a_training_under_torchrun_saves_itself_at_sigterm(cluster, crowd):
    pytest.importorskip("jde_lightning.callbacks.preemption")
    runs = cluster.folder / "runs"
    words = [*fit_words(crowd, runs), "--data.num_workers", "1", "--preemption.every_n_steps", "1"]
    process = run_torchrun(cluster, None, *words, "--trainer.max_epochs", "100")
    deadline = time.monotonic() + 120
    while not (runs / "version_0" / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    running = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
    assert sum("forkserver import main" in words for words in running) >= 2, running
    process.send_signal(signal.SIGTERM)  # torchrun passes it on to whole process groups, the loaders too
    output, _ = cluster.finish(process, timeout=120)
    assert process.returncode == 75, output[-3000:]
    assert "training ends at step" in output
    assert (runs / "version_0" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
def test_a_job_is_signalled_requeued_and_goes_on_to_the_end(cluster, crowd):
    """Two processes of the real `jde-lightning` under the sbatch script: SIGUSR1 in the first start only."""
    preemption = pytest.importorskip("jde_lightning.callbacks.preemption")
    cluster.program("jde-lightning", f'#!/bin/sh\nexec "{sys.executable}" -m jde_lightning "$@"\n')
    runs = cluster.folder / "runs" / f"slurm-{JOB}"
    config = [
        *("--config", str(crowd / "config.yaml"), "--data.root", str(crowd), "--preemption.every_n_steps", "1"),
        *("--trainer.max_epochs", "4"),
    ]
    metrics = runs / "version_0" / "metrics.csv"
    first = cluster.run(SCRIPTS[0], *config, timeout=280, WORKERS="1", SIGNAL_AFTER=str(metrics))
    logs = "".join(path.read_text() for path in (runs / "logs").iterdir())
    assert first.returncode == preemption.EXIT_CODE == 75, first.stdout + first.stderr + logs[-3000:]
    assert cluster.asked("SCONTROL") == [f"requeue {JOB}"]
    assert (runs / "version_0" / "checkpoints" / "last.ckpt").is_file()
    second = cluster.run(SCRIPTS[0], *config, timeout=280, WORKERS="1", SLURM_RESTART_COUNT="1")
    logs = (runs / "logs" / f"{JOB}-rank0.log").read_text()
    assert second.returncode == 0, second.stdout + second.stderr + logs[-3000:]
    assert "goes on from" in logs
    assert [path.name for path in runs.glob("version_*")] == ["version_0"], "one run, in one folder"
    assert cluster.asked("SCONTROL") == [f"requeue {JOB}"]
