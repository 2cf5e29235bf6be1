"""RS-Net in plain PyTorch with the published state-dict keys: the rival in benchmarks.

It follows the paper's formulas and is as fast as plain PyTorch allows: the products of all hops are
one product, weights are laid out in memory for that product, and nothing is computed twice.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.published import to_published

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14)
JOINTS = len(PARENTS)
LEFT_BONES = ((0, 4), (4, 5), (5, 6), (8, 10), (10, 11), (11, 12))
RIGHT_BONES = ((0, 1), (1, 2), (2, 3), (8, 13), (13, 14), (14, 15))
XAVIER_GAIN = 1.414


def adjacency_powers(hops: int) -> Tensor:
    """(hop, joint, joint): powers of the normalized adjacency, from the identity on."""
    graph = np.zeros((JOINTS, JOINTS))
    for child, parent in enumerate(PARENTS[1:], start=1):
        graph[child, parent] = graph[parent, child] = 1
    scale = graph.sum(axis=0) ** -0.5
    normalized = graph * scale * scale[:, None]
    powers = [np.linalg.matrix_power(normalized, hop) for hop in range(hops)]
    return torch.tensor(np.stack(powers), dtype=torch.float32)


def stacked(count: int, chan: int, out: int) -> nn.Parameter:
    """Weights of shape (count, chan, out) that lie in memory as one (chan, count * out) matrix."""
    weight = nn.Parameter(torch.empty(chan, count, out).transpose(0, 1))
    nn.init.xavier_uniform_(weight, gain=XAVIER_GAIN)
    return weight


def as_matrix(weight: Tensor) -> Tensor:
    """(count, chan, out) to (chan, count * out); copies nothing of what `stacked` made."""
    return weight.transpose(0, 1).reshape(weight.shape[1], -1)


class GraphConv(nn.Module):
    """Graph convolution with regular splitting; hops are concatenated, or summed if `last`."""

    def __init__(self, chan: int, out: int, *, hops: int, last: bool = False):
        super().__init__()
        self.hops, self.out, self.last = hops, out, last
        self.W = stacked(2 * hops, chan, out)
        self.W2 = stacked(hops, chan, out)
        self.M = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hops, JOINTS, out), XAVIER_GAIN))
        for hop in range(hops):
            offset = nn.Parameter(torch.full((JOINTS, JOINTS), 1e-6))
            self.register_parameter(f"adj2_{hop}", offset)
        self.bias = nn.Parameter(torch.empty(hops * out).uniform_(-(out**-0.5), out**-0.5))
        self.bias_2 = nn.Parameter(torch.empty(out).uniform_(-(out**-0.5), out**-0.5))
        self.register_buffer("powers", adjacency_powers(hops), persistent=False)
        self.register_buffer("others", 1 - torch.eye(JOINTS), persistent=False)

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:  # both (batch, joint, chan)
        batch, hops, out = len(x), self.hops, self.out
        graph = self.powers + torch.stack([getattr(self, f"adj2_{hop}") for hop in range(hops)])
        graph = (graph + graph.transpose(1, 2)) / 2
        keep = torch.diagonal(graph, dim1=1, dim2=2)

        gain = self.M.transpose(0, 1)  # joint hop out, as in the messages
        messages = (x @ as_matrix(self.W)).view(batch, JOINTS, hops, 2, out)
        y = messages[..., 0, :] * (gain * keep.T[..., None])
        y = y + torch.einsum("hij,bjhf->bihf", graph * self.others, messages[..., 1, :] * gain)
        y = y.reshape(batch * JOINTS, hops * out)
        y = torch.addmm(y, x0.reshape(batch * JOINTS, -1), as_matrix(self.W2))
        if self.last:
            return y.view(batch, JOINTS, hops, out).sum(dim=2) + self.bias_2
        return y.view(batch, JOINTS, hops * out) + self.bias


class NormBlock(nn.Module):
    """drop(LayerNorm(GC(x, x0)))."""

    def __init__(self, chan: int, out: int, *, hops: int, dropout: float):
        super().__init__()
        self.gconv = GraphConv(chan, out, hops=hops)
        self.ln = nn.LayerNorm(hops * out)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:
        return self.drop(self.ln(self.gconv(x, x0)))


class GeluBlock(nn.Module):
    """gelu(drop(gelu(GC(x, x0)))), the outer one only if `double_gelu`."""

    def __init__(self, chan: int, out: int, *, hops: int, dropout: float, double_gelu: bool):
        super().__init__()
        self.gconv = GraphConv(chan, out, hops=hops)
        self.drop = nn.Dropout(dropout)
        self.double_gelu = double_gelu

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:
        x = self.drop(functional.gelu(self.gconv(x, x0)))
        return functional.gelu(x) if self.double_gelu else x


class NonLocal(nn.Module):
    """Attention over the joints of a pose, normalized over the batch, added to its input."""

    def __init__(self, chan: int):
        super().__init__()
        inner = chan // 2
        # 1x1 convolutions by their published shapes, applied as the linear maps they are. Batch
        # normalization sees rows of channels: on a CPU, torch 2.13 gets the gradients of
        # BatchNorm2d wrong for permuted arrays.
        self.g, self.theta, self.phi = (nn.Conv2d(chan, inner, 1) for _ in range(3))
        self.W = nn.Sequential(nn.Conv2d(inner, chan, 1), nn.BatchNorm1d(chan))
        nn.init.zeros_(self.W[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        g, theta, phi = (linear(conv, x) for conv in (self.g, self.theta, self.phi))
        y = torch.softmax(theta @ phi.transpose(1, 2), dim=-1) @ g
        y = linear(self.W[0], y.flatten(0, 1))
        return x + self.W[1](y).view(x.shape)


def linear(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution over the last axis."""
    return functional.linear(x, conv.weight.flatten(1), conv.bias)


class RSNet(nn.Module):
    """(batch, joint, 2) to (batch, joint, 3)."""

    def __init__(
        self,
        width: int = 96,
        dropout: float = 0.2,
        blocks: int = 4,
        hops: int = 4,
        double_gelu: bool = True,
    ):
        super().__init__()
        chan = hops * width
        gelu_block = {"hops": hops, "dropout": dropout, "double_gelu": double_gelu}
        self.gconv_input = GeluBlock(2, width, **gelu_block)
        self.gconv_layers = nn.ModuleDict()
        for i in range(1, 2 * blocks, 2):
            norm = NormBlock(chan, width, hops=hops, dropout=dropout)
            self.gconv_layers[f"gconv{i}"] = norm
            self.gconv_layers[f"gconv{i + 1}"] = GeluBlock(chan, width, **gelu_block)
        self.gconv_output = GraphConv(chan, 3, hops=hops, last=True)
        self.non_local = NonLocal(chan)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = x0 = self.gconv_input(keypoints, keypoints)
        layers = list(self.gconv_layers.values())
        for norm, gelu in zip(layers[::2], layers[1::2], strict=True):
            x = x + gelu(norm(x, x0), x0)
        return self.gconv_output(self.non_local(x), x0)


class PostRefine(nn.Module):
    """Mixes x and y of the lifted and the back-projected pose, both (batch, joint, 3)."""

    def __init__(self, hidden: int = 1024, dropout: float = 0.5):
        super().__init__()
        self.post_refine = nn.Sequential(
            nn.Linear(JOINTS * 6, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, JOINTS * 2),
        )

    def forward(self, pose: Tensor, backprojected: Tensor) -> Tensor:
        both = torch.cat([pose, backprojected], dim=-1).flatten(1)
        share = torch.sigmoid(self.post_refine(both)).view(len(pose), JOINTS, 2)
        xy = share * pose[..., :2] + (1 - share) * backprojected[..., :2]
        return torch.cat([xy, pose[..., 2:]], dim=-1)


def load_weights(module: RSNet | PostRefine, checkpoint: Checkpoint) -> None:
    """Copies weights of a checkpoint into the twin of its network or of its refinement."""
    network, refinement = to_published(checkpoint)
    tensors: Mapping[str, np.ndarray] = network if isinstance(module, RSNet) else refinement
    module.load_state_dict({key: torch.tensor(array) for key, array in tensors.items()})


def backproject(pose: Tensor, keypoints: Tensor, root_depth: Tensor, cameras: Tensor) -> Tensor:
    """Back-projects keypoints at the predicted depths; the pose is relative to joint 0."""
    depth = torch.cat([torch.zeros_like(pose[:, :1, 2]), pose[:, 1:, 2]], dim=1)
    depth = (depth + root_depth[:, None])[..., None]
    focal, center = cameras[:, None, 0:2], cameras[:, None, 2:4]
    points = torch.cat([(keypoints - center) * depth / focal, depth], dim=-1)
    return points - points[:, :1]


def symmetry(pose: Tensor) -> Tensor:
    """Mean difference of the lengths of left and right bones."""

    def lengths(bones: tuple[tuple[int, int], ...]) -> Tensor:
        ends = torch.tensor(bones)
        return torch.linalg.vector_norm(pose[:, ends[:, 0]] - pose[:, ends[:, 1]], dim=-1)

    return (lengths(LEFT_BONES) - lengths(RIGHT_BONES)).mean(dim=0).sum()


def training_loss(
    network: nn.Module,
    keypoints: Tensor,
    joints: Tensor,
    cameras: Tensor | None = None,
    *,
    refinement: nn.Module | None = None,
) -> Tensor:
    """The published loss for joints of shape (batch, joint, 3) in meters, with joint 0 absolute.

    With a refinement the (batch, 9) camera vectors are needed too.
    """
    target = torch.cat([torch.zeros_like(joints[:, :1]), joints[:, 1:]], dim=1)
    pose = network(keypoints)
    loss = 0.9 * functional.mse_loss(pose, target) + 0.1 * functional.l1_loss(pose, target)
    if refinement is not None:
        assert cameras is not None
        refined = refinement(pose, backproject(pose, keypoints, joints[:, 0, 2], cameras))
        loss = loss + torch.linalg.vector_norm(refined - target, dim=-1).mean()
        loss = loss + 0.01 * symmetry(refined)
    return loss


def make_train_step(
    network: nn.Module, refinement: nn.Module | None = None, learning_rate: float = 1e-3
) -> Callable[..., Tensor]:
    """Returns `step(keypoints, joints[, cameras]) -> loss`, which changes the modules in place.

    The modules may be results of `torch.compile`.
    """
    modules = [module.train() for module in (network, refinement) if module is not None]
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, amsgrad=True, fused=True)

    def step(keypoints: Tensor, joints: Tensor, cameras: Tensor | None = None) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = training_loss(network, keypoints, joints, cameras, refinement=refinement)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
