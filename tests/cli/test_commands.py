"""Every command of ours in the documents and scripts is one that the parser takes."""

import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_list import COMMANDS

from rsnet_jax.cli.main import main

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.suffix != ".py")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STARTS = {
    "train.py": "train",
    "evaluate.py": "evaluate",
    "train_or_resume.sh": "train",
    "gke_xpk.sh": "train",
    "slurm.sbatch": "train",
}
COMMAND = re.compile(
    r"(?:rsnet-jax|-m rsnet_jax) (?P<name>[a-z-]+)|"
    r"(?:^|[\s/`])(?P<script>train\.py|evaluate\.py|train_or_resume\.sh|gke_xpk\.sh|slurm\.sbatch)\b"
)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*")


def code_of(path):
    """The code blocks of a document, and what stands in backticks; all of a script."""
    text = path.read_text().replace("\\\n", " ")
    if path.suffix != ".md":
        return text.splitlines()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    words = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.M))
    return [line for block in blocks for line in block.splitlines()] + words


def commands_of(path):
    """(subcommand, its options) of each command of ours."""
    for line in code_of(path):
        for part in re.split(r"&&|\||;", line):
            if " scp " not in part and (match := COMMAND.search(part)):
                name = match.group("name") or STARTS[match.group("script")]
                rest = part[match.end() :].split(" #")[0]
                if name == "launch" and " -- " in rest:  # another command of ours
                    own, _, launched = rest.partition(" -- ")
                    yield name, OPTION.findall(own)
                    name, rest = launched.split()[0], launched
                if name == "prepare":
                    source, _, rest = rest.strip().partition(" ")
                    name = f"prepare {source}"
                yield name, OPTION.findall(rest)


@pytest.fixture
def options(cli, monkeypatch):
    """The options of each subcommand, as its help lists them."""

    @functools.cache
    def known(name):
        code, out, _ = cli(*name.split(), "--help")
        assert code == 0
        found = set(OPTION.findall(out))
        return found | {option.replace("_", "-") for option in found}

    monkeypatch.setenv("COLUMNS", "200")
    return known


@pytest.mark.parametrize("path", [*DOCUMENTS, *SCRIPTS], ids=lambda path: path.name)
def test_options_in_documents_and_scripts_exist(path, options):
    commands = list(commands_of(path))
    built = [(name, used) for name, used in commands if name in COMMANDS]
    for name, used in built:
        assert set(used) <= options(name), f"{path.name}: {name} {used}"
    if path.name in ("README.md", "pods.md"):
        assert len(built) == len(commands) > 10 and any(used for _, used in built)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert "\nset -euo pipefail\n" in path.read_text()
    assert path.suffix == ".sbatch" or os.access(path, os.X_OK)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Programs of others that write down how they are called; returns what they wrote."""
    tools = tmp_path / "tools"
    tools.mkdir()
    calls = tmp_path / "calls"
    write_down = f'printf "%s\\n" "$(basename "$0")" "$@" "" >> {calls}\n'
    bodies = {
        "gcloud": 'for word in ${REFUSED:-}; do case " $* " in *" $word "*) exit 1 ;; esac; done\n'
        'case "$*" in *describe*) echo ACTIVE ;; esac',
        "xpk": "",
        "rsnet-jax": "",
        "scontrol": "",
        "srun": "exit ${SRUN_CODE:-0}",
        "python3": "mkdir -p dist && touch dist/rsnet_jax-0-py3-none-any.whl",
        # what is asked by -c is asked of the real one
        "python": f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi',
    }
    for name, body in bodies.items():
        (tools / name).write_text(f"#!/bin/bash\n{write_down}{body}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def recorded(program):
        blocks = calls.read_text().split("\n\n") if calls.exists() else []
        words = [block.strip("\n").split("\n") for block in blocks]
        return [call[1:] for call in words if call[0] == program]

    return recorded


def run(script, *arguments, cwd, code=0, **environment):
    done = subprocess.run(
        ["bash", ROOT / "scripts" / script, *arguments],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


OURS = ["runs/a b", "configs/smoke.yaml", "--train.epochs", "3"]


def test_train_or_resume(stand_ins, tmp_path):
    run("train_or_resume.sh", *OURS, cwd=tmp_path)
    (tmp_path / "runs" / "a b").mkdir(parents=True)
    (tmp_path / "runs" / "a b" / "config.yaml").write_text("")
    run("train_or_resume.sh", *OURS, cwd=tmp_path)
    new, again = (call[2:] for call in stand_ins("python") if call[0] == "-m")
    assert new == ["train", *OURS[1:], "--workdir", OURS[0]]
    assert again == ["train", "--workdir", OURS[0], "--resume"]
    # where the folder cannot be looked into, no new run is begun
    told = run("train_or_resume.sh", "odd://x", *OURS[1:], cwd=tmp_path, code=1)
    assert "a local path, gs://" in told
    assert len([call for call in stand_ins("python") if call[0] == "-m"]) == 2


def test_tpu_vm(stand_ins, tmp_path):
    slice_ = {"NAME": "n", "ZONE": "z", "TYPE": "v6e-16", "SPOT": "1", "POLL": "0"}
    for step in ("create", "install", "delete"):
        run("tpu_vm.sh", step, cwd=tmp_path, **slice_)
    run("tpu_vm.sh", "train", *OURS, cwd=tmp_path, **slice_)
    calls = stand_ins("gcloud")
    verbs = [" ".join(call[2:4]) for call in calls]
    queued, vm = "queued-resources", "tpu-vm"
    assert verbs == [
        *(f"{queued} create", f"{queued} describe", f"{vm} scp", f"{vm} ssh"),
        *(f"{queued} delete", f"{vm} ssh"),
    ]
    assert {"--runtime-version=v2-alpha-tpuv6e", "--spot"} <= set(calls[0])
    assert "--worker=all" in calls[2] and "--worker=all" in calls[3]
    command = calls[-1][-1].removeprefix("--command=")
    assert shlex.split(command)[-len(OURS) :] == OURS and "train_or_resume.sh" in command
    assert "usage" in run("tpu_vm.sh", "fly", cwd=tmp_path, code=2, **slice_)
    assert "name the slice" in run("tpu_vm.sh", "create", cwd=tmp_path, code=1, NAME="")


def test_tpu_vm_ends_where_no_slice_can_be_made(stand_ins, tmp_path):
    slice_ = {"NAME": "n", "ZONE": "z", "TYPE": "v6e-16", "POLL": "0"}
    run("tpu_vm.sh", "keep", *OURS, cwd=tmp_path, code=1, REFUSED="ssh describe create", **slice_)
    assert [call[3] for call in stand_ins("gcloud")] == ["ssh", "describe", "delete", "create"]


def test_gke(stand_ins, tmp_path):
    cluster = {"CLUSTER": "c", "PROJECT": "p", "ZONE": "z", "IMAGE": "i", "TYPE": "v5litepod-16"}
    more = {"XPK_OPTIONS": "--restart-on-exit-codes=75 --spot"}
    run("gke_xpk.sh", "job", *OURS, cwd=tmp_path, **cluster)
    run("gke_xpk.sh", "job", *OURS, cwd=tmp_path, **cluster, **more)
    plain, asked = stand_ins("xpk")
    assert plain[:2] == ["workload", "create"] and "--workload=job" in plain
    command = plain[-1].removeprefix("--command=")
    assert shlex.split(command) == ["bash", "scripts/train_or_resume.sh", *OURS]
    assert asked == [*plain, "--restart-on-exit-codes=75", "--spot"]


def test_slurm(stand_ins, tmp_path):
    for code in (0, 2, 75):
        run("slurm.sbatch", *OURS, cwd=tmp_path, code=code, SRUN_CODE=str(code), SLURM_JOB_ID="7")
    assert [call[1:] for call in stand_ins("srun")] == 3 * [
        ["bash", "scripts/train_or_resume.sh", *OURS]
    ]
    assert stand_ins("scontrol") == [["requeue", "7"]]


def test_arguments_of_the_scripts_are_understood(tmp_path, monkeypatch, capsys):
    """The examples at the top of the scripts, up to the point where data would be read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    train = importlib.import_module("rsnet_jax.cli.train")
    seen = []
    monkeypatch.setattr(train, "fit", lambda config, workdir, **_: seen.append((config, workdir)))
    monkeypatch.setattr(train, "summary", lambda *_: "")
    others = ("train_pose26.sh", "compare_six.sh")
    for path in (path for path in SCRIPTS if path.name not in others):
        found = re.search(r"((?:gs://BUCKET|/scratch)/runs/hr) (configs.*)", path.read_text())
        assert found, path.name
        workdir, rest = found.groups()
        assert main(["train", *shlex.split(rest), "--workdir", workdir]) == 0
        config, got = seen.pop()
        assert str(got) == workdir and str(config.data.root).startswith(workdir.split("/runs")[0])


def test_weights_of_the_package_can_be_made_again(stand_ins, tmp_path, monkeypatch, cli):
    """Each command is understood; `prepare` and `train` stop where data would be read."""
    run("train_pose26.sh", "mocap", "out.safetensors", cwd=tmp_path)
    commands = stand_ins("rsnet-jax")
    names = [*["prepare"] * 2, *["train"] * 2, *["prepare"] * 2, *["train"] * 2, *["prepare"] * 2]
    names += ["export"]
    assert [command[0] for command in commands] == names
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rsnet-jax"])
    for command in commands:
        if command[1] in ("configs/pose26.yaml",):
            command[1] = str(ROOT / command[1])
        code, _, err = cli(*command)
        assert code == 2 and re.search("no (such )?(file|folder)|training subjects", err), err
    made, rival, measured, shipped = stand_ins("python")
    assert made[0] == rival[0] == shipped[0] == "scripts/ship_pose26.py"
    assert made[1:3] == shipped[1:3] == ["runs/pose26", "runs/pose26-again"]
    assert measured[0] == "benchmarks/pose26.py"
    assert measured[1] == made[4] and measured[measured.index("--baseline") + 2] == rival[4]


def test_six_networks_are_trained_and_compared(stand_ins, tmp_path, monkeypatch, cli):
    """Each command is understood; `train` and `compare` stop where files would be read."""
    (tmp_path / "runs/hgcn_cpn").mkdir(parents=True)
    (tmp_path / "runs/hgcn_cpn/config.yaml").touch()
    run("compare_six.sh", "data", "runs", "--model.width", "16", cwd=tmp_path)
    *trained, compared = stand_ins("rsnet-jax")
    assert len(trained) == 6
    resumed = ["train", "--workdir", "runs/hgcn_cpn", "--resume", "--model.width", "16"]
    assert trained[2] == resumed
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rsnet-jax"])
    workdirs = [command[command.index("--workdir") + 1] for command in trained]
    assert workdirs == [word.split("=")[1] for word in compared[1:7]]
    del trained[2]
    for command in (*trained, compared):
        code, _, err = cli(*command)
        assert code == 2 and re.search("no (such )?(file|folder)|nothing at", err), err
