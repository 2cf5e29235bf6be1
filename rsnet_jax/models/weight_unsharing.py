"""Weight Unsharing: graph convolutions in which joints need not share their weights.

Source: Liu et al., A Comprehensive Study of Weight Sharing in Graph Networks for 3D Human Pose
Estimation, ECCV 2020. The published weights are those of another author's implementation, Any-GCN.
"""

import functools

from rsnet_jax.config import ExpertsMerge, GraphName, GraphWeights, Sharing
from rsnet_jax.models.conv_block import MakeConv
from rsnet_jax.models.graphs import weighted_graph
from rsnet_jax.models.residual import Place, ResidualGraphNetwork
from rsnet_jax.models.unshared_conv import UnsharedGraphConv


class WeightUnsharing(ResidualGraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

    The first layer has no experts.
    """

    sharing: Sharing = "dc_preagg"
    graph: GraphName = "default"
    graph_weights: GraphWeights = "default"
    experts: int = 0
    experts_merge: ExpertsMerge = "add"
    expert_dropout: float = 0.2

    def graph_conv(self, place: Place) -> MakeConv:
        return functools.partial(
            UnsharedGraphConv,
            adjacency=weighted_graph(self.keypoint_skeleton, self.graph, self.graph_weights),
            sharing=self.sharing,
            experts=0 if place == "input" else self.experts,
            experts_merge=self.experts_merge,
            expert_dropout=self.expert_dropout,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )
