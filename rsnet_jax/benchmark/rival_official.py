"""The rival that is the official code, imported from a clone the user names.

The repository holds none of that code. Parts that no longer run are patched in memory at import:
the name `np.float`, arrays printed as numbers, calls that need CUDA on a machine without it, and
the memory layout for which torch's batch normalization has wrong gradients on a CPU. The official
main program is not run, so its misnamed options do not matter. The refinement takes no part.
"""

import contextlib
import copy
import importlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from rsnet_jax.benchmark import torch_data
from rsnet_jax.benchmark.rival_torch import prepare_torch
from rsnet_jax.benchmark.sides import CHECKED_STEPS, NotRun, Sample, Workload
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import to_published
from rsnet_jax.config import Config
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.errors import ConfigError

NEARLY_NONE = 1e-12
"""A dropout rate that drops nothing but keeps the second GELU in place."""
LAYOUTS = ("gt", "hr")
"""Keypoint sets whose joint numbers are the same in the official evaluation and the data files."""


def find(folder: Path) -> Path:
    """Resolves the folder of the clone.

    Raises:
        ConfigError: the folder holds no clone of the official code.
    """
    if not (folder / "models" / "rsnet_gcn.py").is_file():
        raise ConfigError(f"official: a clone of the official code was wanted, not {folder}")
    return folder.resolve()


class OfficialSide:
    """The side of the official modules, training and evaluation loop; see `sides.Side`."""

    name = "authors' code"
    official_bugs = True

    def __init__(self, clone: Path, checkpoint: Checkpoint):
        self.checkpoint, self.config = checkpoint, checkpoint.config
        if self.config.precision == "bfloat16":
            raise ConfigError("official: the official code has no bfloat16; --precision highest")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        prepare_torch(self.config.precision)
        self.code = import_clone(clone)

    def prediction(self, keypoints: np.ndarray, *, from_host: bool) -> Workload:
        if len(keypoints) == 1:
            raise NotRun("it fails for a batch of one pose")
        network = self.network(NEARLY_NONE).eval()
        # The official layout: batch, axis, time, joint, person.
        on_host = torch.from_numpy(keypoints).permute(0, 2, 1)[:, :, None, :, None].contiguous()
        rows = on_host.to(self.device)

        def run(times: int) -> torch.Tensor:
            result = rows
            with torch.inference_mode():
                for _ in range(times):
                    result = network(on_host.to(self.device) if from_host else rows)
                    if from_host:
                        result = result.cpu()
            self.wait()
            return result

        def outcome() -> dict[str, np.ndarray]:
            pose = run(1)[:, :, 0, :, 0].permute(0, 2, 1)
            return {"pose": (pose - pose[:, :1]).cpu().numpy()}

        return Workload(run, outcome)

    def training(self, batch: Sample) -> Workload:
        # As the official loader gives them: one frame per sample, scale, bounding box, camera.
        rows = len(batch.keypoints_2d)
        data = [
            torch.from_numpy(batch.cameras),
            torch.from_numpy(batch.joints_3d)[:, None],
            torch.from_numpy(batch.keypoints_2d)[:, None],
            ["Walking"] * rows,
            ["S1"] * rows,
            torch.ones(rows),
            torch.tensor([0, 0, 1, 1]).repeat(rows, 1),
            torch.zeros(rows, dtype=torch.int64),
        ]
        step = self.trainer(self.network(self.config.model.dropout), batch_size=rows)

        def outcome() -> dict[str, np.ndarray]:
            step = self.trainer(self.network(NEARLY_NONE), batch_size=rows)
            return {"mpjpe": np.array([step([data])["xyz"] for _ in range(CHECKED_STEPS)])}

        return Workload(lambda times: step([data] * times), outcome)

    def evaluation(self, frames: Frames, *, batch_size: int) -> Workload:
        if self.config.data.source == "h36m" and frames.detections not in LAYOUTS:
            raise NotRun(f"its evaluation knows the joints of {' and '.join(LAYOUTS)} only")
        options = self.options(batch_size=batch_size)
        options.show_protocol2 = True
        network = self.network(NEARLY_NONE).eval()
        batches = self.batches(options, train=False)
        found: dict[str, float] = {}

        class Table:
            """Stands for the official log file."""

            def append(self, row: list[float]) -> None:
                found.update(mpjpe=row[2], pa_mpjpe=row[3])

        def run(times: int) -> None:
            for _ in range(times):
                with torch.no_grad(), quiet():
                    self.code.loop.val(
                        options,
                        list(frames.actions),
                        batches,
                        {"rsnet_gcn": network, "post_refine": None},
                        self.criteria(),
                        0,
                        Table(),
                        0.0,
                    )

        def outcome() -> dict[str, float]:
            run(1)
            return dict(found)

        return Workload(run, outcome)

    def epoch(self, config: Config, frames: Frames) -> Workload:
        options = self.options(batch_size=config.train.batch_size)
        batches = self.batches(options, train=True)
        train = self.trainer(self.network(config.model.dropout), batch_size=options.batchSize)

        def run(times: int) -> None:
            for _ in range(times):
                train(batches)

        return Workload(run, dict)

    def network(self, dropout: float) -> Any:
        """Makes a fresh official network with the weights of the checkpoint."""
        graph = torch.tensor(self.checkpoint.skeleton.adjacency, dtype=torch.float32)
        width = self.config.model.width
        network = self.code.network.Model(graph, width, p_dropout=dropout)
        tensors, _ = to_published(self.checkpoint)
        network.load_state_dict({key: torch.tensor(array) for key, array in tensors.items()})
        if self.device == "cpu":
            mend_normalization(network.non_local.W[1])
        return network.to(self.device)

    def trainer(self, network: Any, *, batch_size: int) -> Callable[[Any], dict[str, float]]:
        """The official training loop over batches; returns its errors in meters."""
        options = self.options(batch_size=batch_size)
        rate = self.config.optim.learning_rate
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, amsgrad=True)
        networks = {"rsnet_gcn": network, "post_refine": None}

        def train(batches: Any) -> dict[str, float]:
            with quiet():
                return self.code.loop.train(
                    options, [], batches, networks, self.criteria(), optimizer, rate
                )

        return train

    def criteria(self) -> dict[str, torch.nn.Module]:
        """The official losses, by name."""
        return {"MSE": torch.nn.MSELoss(), "L1": torch.nn.L1Loss()}

    def options(self, *, batch_size: int) -> Any:
        """The official options, as the official command line makes them."""
        data = self.config.data
        arguments = {
            "keypoints": self.keypoints,
            "batchSize": batch_size,
            "hid_dim": self.config.model.width,
            "device": self.device,
            "downsample": data.every,
            "actions": ",".join(data.actions) or "*",
        }
        line = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
        with tempfile.TemporaryDirectory() as folder:
            command = ["main_graph.py", *line, "--save_dir", folder]
            with quiet(), replaced(sys, "argv", command):
                options = self.code.options.opts().parse()
        options.subjects_train = ",".join(data.subjects_train)
        options.subjects_test = ",".join(data.subjects_test)
        return options

    @property
    def keypoints(self) -> str:
        """Name of the 2D keypoints; synthetic ones are called `gt`."""
        data = self.config.data
        return data.detections or "gt" if data.source == "h36m" else "gt"

    def batches(self, options: Any, *, train: bool) -> Any:
        """The official data set, read from files, in batches."""
        data = self.config.data
        with tempfile.TemporaryDirectory() as folder, quiet():
            root = data.root if data.source == "h36m" else Path(folder, "dataset")
            assert root is not None  # `DataConfig.check`
            if data.source == "synthetic":
                subjects = data.subjects_train + data.subjects_test
                clips = synthetic_clips(data.detections or "gt", subjects=subjects)
                write_h36m(root, {self.keypoints: clips})
            skeleton = copy.deepcopy(self.code.skeleton)  # the data set removes joints in place
            with replaced(self.code.dataset, "h36m_skeleton", skeleton):
                poses = self.code.dataset.Human36mDataset(str(root / "data_3d_h36m.npz"), options)
            views = self.code.loader.Fusion(
                opt=options, train=train, dataset=poses, root_path=f"{root}/"
            )
        return torch_data.loader(views, batch_size=options.batchSize, shuffle=train)

    def wait(self) -> None:
        """Waits until the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def import_clone(clone: Path) -> SimpleNamespace:
    """Imports the modules of a clone and patches them to run."""
    torch_data.restore_numpy_names()
    if not torch.cuda.is_available():
        torch.cuda.FloatTensor = torch.FloatTensor  # pyright: ignore
        torch.cuda.synchronize = lambda: None  # pyright: ignore
        torch.Tensor.cuda = lambda self, *_, **__: self  # pyright: ignore
    if str(clone) not in sys.path:  # not removed: worker processes import it too
        sys.path.append(str(clone))
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the code was written for an older Python
            code = SimpleNamespace(
                network=importlib.import_module("models.rsnet_gcn"),
                loop=importlib.import_module("train_graph_time"),
                options=importlib.import_module("opt1"),
                loader=importlib.import_module("data.load_data_hm36"),
                dataset=importlib.import_module("data.common.h36m_dataset"),
            )
    except ImportError as error:
        raise ConfigError(f"official: {clone} cannot be imported: {error}") from None
    if not Path(code.network.__file__ or "").is_relative_to(clone):
        raise ConfigError(f"official: another package called models hides that of {clone}")
    code.skeleton = code.dataset.h36m_skeleton
    code.loop.tqdm = lambda batches, *_: batches
    code.loop.AccumLoss = accumulator_of_scalars(code.loop.AccumLoss)
    return code


def accumulator_of_scalars(base: type) -> type:
    """The official running mean, taking arrays of one number, which NumPy no longer converts."""

    class Accumulator(base):
        def update(self, val: Any, n: int = 1) -> None:
            super().update(np.asarray(val).item(), n)

    return Accumulator


def mend_normalization(norm: torch.nn.Module) -> None:
    """Makes the input and the gradient of a batch normalization contiguous.

    On a CPU, torch 2.13 computes wrong gradients of it for permuted arrays.
    """

    def lay_out(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (inputs[0].contiguous(),)

    def lay_out_gradient(_: torch.nn.Module, __: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(torch.Tensor.contiguous)

    norm.register_forward_pre_hook(lay_out)
    norm.register_forward_hook(lay_out_gradient)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides the progress reports of the official code."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replaces the value of an attribute within the context."""
    old = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, old)
