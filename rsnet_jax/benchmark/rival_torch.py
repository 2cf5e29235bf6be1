"""The rival in plain PyTorch: `torch_twin`, eager or through `torch.compile`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rsnet_jax.benchmark import torch_data, torch_twin
from rsnet_jax.benchmark.machine import visible_cores
from rsnet_jax.benchmark.sides import CHECKED_STEPS, Sample, Workload
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config, Precision, RSNetConfig
from rsnet_jax.data.frames import Frames

MM = 1000


def prepare_torch(precision: Precision) -> None:
    """Gives torch all visible cores, and the precision of float32 products that JAX has."""
    torch.set_num_threads(visible_cores())
    torch.set_float32_matmul_precision("highest" if precision == "highest" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "highest"


class TorchSide:
    """The side of the PyTorch twin; see `sides.Side`."""

    official_bugs = False

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool):
        self.name = "torch.compile" if compiled else "torch eager"
        self.checkpoint, self.config, self.compiled = checkpoint, checkpoint.config, compiled
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        prepare_torch(self.config.precision)

    def prediction(self, keypoints: np.ndarray, *, from_host: bool) -> Workload:
        network = self.network().eval()
        on_host = torch.from_numpy(keypoints)
        rows = on_host.to(self.device)

        def run(times: int) -> torch.Tensor:
            result = rows
            with torch.inference_mode(), self.precision():
                for _ in range(times):
                    result = network(on_host.to(self.device) if from_host else rows)
                    if from_host:
                        result = result.cpu()
            self.wait()
            return result

        return Workload(run, lambda: {"pose": relative(run(1)).float().cpu().numpy()})

    def training(self, batch: Sample) -> Workload:
        keypoints, joints = (
            torch.from_numpy(rows).to(self.device) for rows in (batch.keypoints_2d, batch.joints_3d)
        )

        def steps(dropout: float) -> Callable[[int], list[torch.Tensor]]:
            step = torch_twin.make_train_step(
                self.network(dropout), learning_rate=self.config.optim.learning_rate
            )

            def run(times: int) -> list[torch.Tensor]:
                losses = []
                with self.precision():
                    for _ in range(times):
                        losses.append(step(keypoints, joints))
                self.wait()
                return losses

            return run

        def outcome() -> dict[str, np.ndarray]:
            losses = steps(dropout=0.0)(CHECKED_STEPS)
            return {"loss": np.array([float(loss) for loss in losses])}

        return Workload(steps(self.config.model.dropout), outcome)

    def evaluation(self, frames: Frames, *, batch_size: int) -> Workload:
        """Two passes per batch, P1 in torch and P2 in NumPy, as is usual for this task."""
        network = self.network().eval()
        mirror = list(frames.skeleton.mirror)
        sign = torch.tensor([-1.0, 1.0, 1.0], device=self.device)
        columns = [torch.from_numpy(c) for c in (frames.keypoints_2d, frames.joints_3d)]
        counts = np.bincount(frames.action)
        errors: dict[str, np.ndarray] = {}

        def lift(keypoints: torch.Tensor) -> torch.Tensor:
            pose = network(keypoints)
            mirrored = network((keypoints * sign[:2])[:, mirror])
            return relative((pose + (mirrored * sign)[:, mirror]) / 2).float()

        def pass_() -> None:
            parts: dict[str, list[np.ndarray]] = {"mpjpe": [], "pa_mpjpe": []}
            for start in range(0, len(frames), batch_size):
                stop = start + batch_size
                keypoints, target = (c[start:stop].to(self.device) for c in columns)
                target = torch.cat([torch.zeros_like(target[:, :1]), target[:, 1:]], dim=1)
                pose = lift(keypoints)
                error = torch.linalg.vector_norm(pose - target, dim=-1).mean(dim=1)
                parts["mpjpe"].append(error.cpu().numpy())
                aligned = procrustes_error(pose.cpu().numpy(), target.cpu().numpy())
                parts["pa_mpjpe"].append(aligned)
            for name, values in parts.items():
                errors[name] = np.bincount(frames.action, np.concatenate(values)) / counts

        def run(times: int) -> None:
            with torch.inference_mode(), self.precision():
                for _ in range(times):
                    pass_()

        def outcome() -> dict[str, float]:
            run(1)
            return {name: MM * float(values.mean()) for name, values in errors.items()}

        return Workload(run, outcome)

    def epoch(self, config: Config, frames: Frames) -> Workload:
        network = self.network(config.model.dropout)
        step = torch_twin.make_train_step(network, learning_rate=config.optim.learning_rate)
        dataset = torch_data.Views(
            frames.keypoints_2d,
            frames.joints_3d,
            frames.camera_vectors[frames.camera],
            mirror=frames.skeleton.mirror,
        )
        batches = torch_data.loader(dataset, batch_size=config.train.batch_size, shuffle=True)

        def run(times: int) -> None:
            for _ in range(times):
                total = torch.zeros((), device=self.device)
                for keypoints, joints, _ in batches:
                    keypoints, joints = keypoints.to(self.device), joints.to(self.device)
                    with self.precision():
                        total += step(keypoints, joints)
                float(total)  # waits

        return Workload(run, dict)

    def network(self, dropout: float = 0.0) -> Any:
        """Makes a fresh twin with the weights of the checkpoint."""
        model = self.config.model
        assert isinstance(model, RSNetConfig)  # see `suite.make_sides`
        network = torch_twin.RSNet(
            model.width, dropout, model.blocks, model.hops, double_gelu=model.double_gelu
        )
        torch_twin.load_weights(network, self.checkpoint)
        network = network.to(self.device)
        return torch.compile(network, dynamic=False) if self.compiled else network

    def precision(self) -> Any:
        """The context in which the network is called: autocast for bfloat16."""
        halved = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=halved)

    def wait(self) -> None:
        """Waits until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def relative(pose: torch.Tensor) -> torch.Tensor:
    """A pose relative to joint 0."""
    return pose - pose[:, :1]


def procrustes_error(pose: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean joint distance per pose after the best translation, rotation and scaling."""
    pose = pose - pose.mean(axis=1, keepdims=True)
    target = target - target.mean(axis=1, keepdims=True)
    u, s, vt = np.linalg.svd(pose.transpose(0, 2, 1) @ target)
    sign = np.sign(np.linalg.det(u @ vt))  # a rotation, not a reflection
    u[..., -1] *= sign[:, None]
    s[..., -1] *= sign
    scale = s.sum(axis=-1) / np.square(pose).sum(axis=(1, 2))
    aligned = scale[:, None, None] * (pose @ (u @ vt))
    return np.linalg.norm(aligned - target, axis=-1).mean(axis=1)
