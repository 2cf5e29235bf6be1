"""Faults that the tests must see: small edits of the source, and the tests that should fail."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """A change of the source that leaves it running and wrong."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    """(path, old text, new text); the old text occurs once in the file."""
    tests: tuple[str, ...]
    """Files, folders or node ids, the likeliest to fail first; run one after the other."""


RSNET = "rsnet_jax/models/rsnet.py"
NORMS = "rsnet_jax/models/norms.py"
DROPOUT = "rsnet_jax/models/dropout.py"
GRAPH_CONV = "rsnet_jax/models/graph_conv.py"
FLIP_TEST = "rsnet_jax/models/flip_test.py"
SKELETON = "rsnet_jax/pose/skeleton.py"
TRANSFORMS = "rsnet_jax/pose/transforms.py"
METRICS = "rsnet_jax/pose/metrics.py"
CAMERA = "rsnet_jax/pose/camera.py"
SCREEN = "rsnet_jax/pose/screen.py"
CALIBRATION = "rsnet_jax/data/h36m/cameras.py"
PREDICT = "rsnet_jax/evaluation/predict.py"
MEASURE = "rsnet_jax/evaluation/measure.py"
REPORT = "rsnet_jax/evaluation/report.py"
PCK = "rsnet_jax/evaluation/pck.py"
PLAUSIBLE = "rsnet_jax/data/plausible.py"
CONFIG = "rsnet_jax/config/sections.py"
STEP = "rsnet_jax/training/step.py"
LOSSES = "rsnet_jax/training/losses.py"
OPTIM = "rsnet_jax/training/optim.py"
TORCH_FILE = "rsnet_jax/checkpoints/torch_containers.py"

TEST_EVAL = "tests/evaluation/test_evaluation.py"
TEST_PCK = "tests/evaluation/test_pck.py"
TEST_STEPS = "tests/training/test_steps.py"
TEST_GOLDEN = "tests/training/test_golden.py"
TEST_RSNET = "tests/models/test_rsnet.py"
TEST_NORMS = "tests/models/test_norms.py"
TEST_DROPOUT = "tests/models/test_dropout.py"
TEST_GRAPH = "tests/models/test_graph_conv.py"
TEST_KEYS = "tests/checkpoints/test_key_tables.py"
TEST_NETWORK = (TEST_RSNET, "tests/models", TEST_GOLDEN)
TEST_LENS = ("tests/pose/test_camera.py", "tests/data", TEST_STEPS, TEST_EVAL)


def uncentered(n_mpjpe: str) -> tuple[tuple[str, str, str], ...]:
    """Edits after which N-MPJPE is a formula of `raw`, the pose before it is re-centered."""
    imported = "from rsnet_jax.pose.transforms import relative_target"
    errors = (
        "            errors = {name: metric(pose, target) for name, metric in POSE_METRICS.items()}"
    )
    raw = "            raw, pose = pose, zero_root(pose) if published else recenter(pose)"
    return (
        (PREDICT, 'poses = {"lifted": center(pose)}', 'poses = {"lifted": pose}'),
        (PREDICT, "= center(jnp.asarray(refined))", "= jnp.asarray(refined)"),
        (MEASURE, imported, f"{imported}, recenter, zero_root"),
        (MEASURE, errors, f'{raw}\n{errors}\n            errors["n_mpjpe"] = {n_mpjpe}'),
    )


FAULTS = (
    Fault(
        "single GELU",
        ((RSNET, "return gelu(y) if self.double_gelu else y", "return y"),),
        TEST_NETWORK,
    ),
    Fault(
        "tanh GELU",
        (
            (
                RSNET,
                "return x * (0.5 + 0.5 * jax.lax.erf(x * jnp.asarray(np.sqrt(0.5), x.dtype)))",
                "return jax.nn.gelu(x, approximate=True)",
            ),
        ),
        TEST_NETWORK,
    ),
    Fault(
        "LayerNorm eps 1e-6",
        ((NORMS, "epsilon: float = 1e-5  # torch's", "epsilon: float = 1e-6  # torch's"),),
        TEST_NETWORK,
    ),
    Fault(
        "LayerNorm gradient without the mean",
        (
            (
                NORMS,
                "(g - g.mean(axis=0, keepdims=True) - x_hat * mean_g_x_hat)",
                "(g - x_hat * mean_g_x_hat)",
            ),
        ),
        (
            TEST_NORMS,
            TEST_RSNET,
            TEST_GOLDEN,
        ),
    ),
    Fault(
        "LayerNorm gradient without the variance",
        (
            (
                NORMS,
                "(g - g.mean(axis=0, keepdims=True) - x_hat * mean_g_x_hat)",
                "(g - g.mean(axis=0, keepdims=True))",
            ),
        ),
        (
            TEST_NORMS,
            TEST_RSNET,
            TEST_GOLDEN,
        ),
    ),
    Fault(
        "biased running variance",
        ((NORMS, "unbiased = var * (samples / (samples - 1))", "unbiased = var"),),
        (TEST_NORMS, TEST_GOLDEN),
    ),
    Fault(
        "running variance not updated",
        (
            (
                NORMS,
                "running_var.value = old * running_var.value + self.momentum * unbiased",
                "_ = unbiased",
            ),
        ),
        (TEST_NORMS, TEST_GOLDEN),
    ),
    Fault(
        "self loops",
        (
            (
                SKELETON,
                "graph = np.zeros((self.num_joints, self.num_joints))",
                "graph = np.eye(self.num_joints)",
            ),
        ),
        ("tests/pose/test_skeleton.py", *TEST_NETWORK),
    ),
    Fault(
        "hop off by one",
        ((GRAPH_CONV, "for hop in range(hops)]", "for hop in range(1, hops + 1)]"),),
        (TEST_GRAPH, *TEST_NETWORK),
    ),
    Fault(
        "unsymmetrized modulation",
        ((GRAPH_CONV, "return (graph + graph.swapaxes(1, 2)) / 2", "return graph"),),
        (TEST_GRAPH, *TEST_NETWORK),
    ),
    Fault(
        "swapped diagonal and neighbor weights",
        (
            (
                GRAPH_CONV,
                "return jnp.stack([graph * identity, graph * (1 - identity)], axis=2)",
                "return jnp.stack([graph * (1 - identity), graph * identity], axis=2)",
            ),
        ),
        (TEST_GRAPH, *TEST_NETWORK),
    ),
    Fault(
        "flip test without joint swap",
        (
            (
                FLIP_TEST,
                "pose = (pose + mirror(mirrored, model.skeleton)) / 2",
                "pose = (pose + mirrored.at[..., 0].multiply(-1)) / 2",
            ),
        ),
        (f"{TEST_STEPS}::test_flip_test_makes_the_network_symmetric", TEST_EVAL),
    ),
    Fault(
        "flip average without mirroring x back",
        (
            (
                FLIP_TEST,
                "pose = (pose + mirror(mirrored, model.skeleton)) / 2",
                "pose = (pose + mirrored[:, list(model.skeleton.mirror)]) / 2",
            ),
        ),
        (f"{TEST_STEPS}::test_flip_test_makes_the_network_symmetric", TEST_EVAL),
    ),
    Fault(
        "mirror image without joint swap",
        ((TRANSFORMS, "return flipped[..., list(skeleton.mirror), :]", "return flipped"),),
        (TEST_STEPS, TEST_EVAL),
    ),
    Fault(
        "mirrored camera: c_x not negated",
        ((TRANSFORMS, "jnp.array([2, 7])", "jnp.array([7])"),),
        (f"{TEST_STEPS}::test_mirrored_samples_are_views_of_the_mirrored_scene", TEST_STEPS),
    ),
    Fault(
        "mirrored camera: p1 not negated",
        ((TRANSFORMS, "jnp.array([2, 7])", "jnp.array([2])"),),
        (f"{TEST_STEPS}::test_mirrored_samples_are_views_of_the_mirrored_scene", TEST_STEPS),
    ),
    Fault(
        "joint 0 not re-centered",
        ((TRANSFORMS, "return pose - pose[:, :1]", "return pose"),),
        (f"{TEST_EVAL}::test_figures_are_those_of_the_predictions", TEST_EVAL, "tests/lifting"),
    ),
    Fault(
        "P2 with reflection",
        (
            (
                METRICS,
                "sign = jnp.where(jnp.linalg.det(_product(u, vt)) < 0, -1.0, 1.0)",
                "sign = jnp.where(jnp.linalg.det(_product(u, vt)) < 0, 1.0, 1.0)",
            ),
        ),
        ("tests/pose/test_metrics.py", TEST_EVAL),
    ),
    Fault(
        "P2 batch bug by default",
        (
            (
                MEASURE,
                '            if published:\n                errors["pa_mpjpe"]',
                '            if True:\n                errors["pa_mpjpe"]',
            ),
        ),
        (TEST_EVAL, "tests/cli/test_evaluate_cli.py"),
    ),
    Fault(
        "bugs of the official evaluation by default (command)",
        (
            (
                "rsnet_jax/cli/evaluate.py",
                "    published: bool = False",
                "    published: bool = True",
            ),
        ),
        ("tests/cli/test_evaluate_cli.py",),
    ),
    Fault(
        "optax's own amsgrad",
        (
            (
                OPTIM,
                'scale_by_torch_amsgrad() if config.name == "amsgrad"',
                'optax.scale_by_amsgrad() if config.name == "amsgrad"',
            ),
        ),
        ("tests/training/test_optim.py", TEST_GOLDEN),
    ),
    Fault(
        "rate decayed one epoch early",
        ((OPTIM, "step // steps_per_epoch, epochs", "step // steps_per_epoch + 1, epochs"),),
        ("tests/training/test_optim.py", "tests/training/test_loop.py"),
    ),
    Fault(
        "wrong fan",
        (
            (
                "rsnet_jax/models/initializers.py",
                "(rows * columns + stack * columns)",
                "(rows + columns)",
            ),
        ),
        ("tests/models/test_initializers.py",),
    ),
    Fault(
        "absolute symmetry loss",
        ((LOSSES, "(jnp.abs(difference) if absolute else difference)", "jnp.abs(difference)"),),
        ("tests/pose/test_metrics.py", TEST_GOLDEN),
    ),
    Fault(
        "absolute symmetry by default (configuration)",
        ((CONFIG, "absolute_symmetry: bool = False", "absolute_symmetry: bool = True"),),
        (
            "tests/test_config.py",
            "tests/training/test_loop.py",
            "tests/cli/test_train_cli.py",
            "tests/cli/test_commands.py",
        ),
    ),
    Fault(
        "absolute symmetry by default (training step)",
        ((STEP, "absolute_symmetry: bool = False", "absolute_symmetry: bool = True"),),
        (TEST_GOLDEN, TEST_STEPS),
    ),
    Fault(
        "absolute symmetry by default (loss)",
        ((LOSSES, "absolute_symmetry: bool = False", "absolute_symmetry: bool = True"),),
        ("tests/pose/test_metrics.py", TEST_GOLDEN),
    ),
    Fault(
        "equal dropout masks on all devices",
        (
            (
                DROPOUT,
                "return rows if axis_name is None else rows + batch * jax.lax.axis_index(",
                "return rows if axis_name is None else rows + 0 * jax.lax.axis_index(",
            ),
        ),
        (TEST_DROPOUT, TEST_STEPS),
    ),
    Fault(
        "dropout scaled by the nominal rate",
        (
            (
                DROPOUT,
                "jnp.asarray(256 / kept_bytes, x.dtype)",
                "jnp.asarray(1 / (1 - self.rate), x.dtype)",
            ),
        ),
        (TEST_DROPOUT, TEST_RSNET, TEST_STEPS, "tests/training/test_loop.py"),
    ),
    Fault(
        "gradients summed, not averaged",
        (
            (
                STEP,
                "= jax.lax.pmean((grads, measured), axis_name)",
                "= jax.lax.psum(grads, axis_name), jax.lax.pmean(measured, axis_name)",
            ),
        ),
        (TEST_STEPS, "tests/training/test_loop.py"),
    ),
    Fault(
        "padding rows counted in evaluation (past the split)",
        (
            (
                MEASURE,
                "jnp.where((row_in_batch < batch) & (row < count), 1.0, 0.0)",
                "jnp.where(row_in_batch < batch, 1.0, 0.0)",
            ),
        ),
        (f"{TEST_EVAL}::test_the_batch_size_changes_nothing", "tests/evaluation"),
    ),
    Fault(
        "padding rows counted in evaluation (past the batch)",
        (
            (
                MEASURE,
                "jnp.where((row_in_batch < batch) & (row < count), 1.0, 0.0)",
                "jnp.where(row < count, 1.0, 0.0)",
            ),
        ),
        (f"{TEST_EVAL}::test_evaluation_on_four_devices_changes_rounding_only", "tests/evaluation"),
    ),
    Fault(
        "frame mean instead of action mean",
        ((REPORT, "float(np.mean(means))", "float(np.average(means, weights=counts))"),),
        (
            f"{TEST_EVAL}::test_figures_are_those_of_the_predictions",
            TEST_EVAL,
            "tests/cli/test_evaluate_cli.py",
        ),
    ),
    Fault(
        "N-MPJPE without re-centering",
        uncentered("metrics.n_mpjpe(raw, target)"),
        ("tests/pose/test_metrics.py", TEST_EVAL, "tests/cli/test_evaluate_cli.py"),
    ),
    Fault(
        "N-MPJPE: scale taken before re-centering",
        uncentered(
            "metrics.mpjpe(pose * ((raw * target).sum((-2, -1), keepdims=True)"
            " / jnp.square(raw).sum((-2, -1), keepdims=True)), target)"
        ),
        ("tests/pose/test_metrics.py", TEST_EVAL, "tests/cli/test_evaluate_cli.py"),
    ),
    Fault(
        "N-MPJPE: plain MPJPE in its place",
        ((REPORT, '"n_mpjpe": metrics.n_mpjpe', '"n_mpjpe": metrics.mpjpe'),),
        ("tests/pose/test_metrics.py", TEST_EVAL, "tests/cli/test_evaluate_cli.py"),
    ),
    Fault(
        "moments not restored on resume",
        (
            (
                "rsnet_jax/training/run_checkpoints.py",
                '        **items["training"],',
                '        opt_state=fresh.opt_state,\n        sums=items["training"]["sums"],',
            ),
        ),
        ("tests/training/test_run_folder.py", "tests/training/test_resume.py"),
    ),
    Fault(
        "the same order every epoch",
        (
            (
                "rsnet_jax/training/program.py",
                "jax.random.permutation(jax.random.fold_in(key, epoch), samples)",
                "jax.random.permutation(jax.random.fold_in(key, 1), samples)",
            ),
        ),
        ("tests/training/test_loop.py::test_epoch_order_has_every_sample_once",),
    ),
    Fault(
        "best checkpoint by maximum",
        (
            (
                "rsnet_jax/checkpoints/load.py",
                "return min(errors, key=lambda step: (errors[step], step), default=None)",
                "return max(errors, key=lambda step: (errors[step], step), default=None)",
            ),
        ),
        ("tests/training/test_run_folder.py", "tests/training/test_loop.py"),
    ),
    Fault(
        "y normalized by the height",
        (
            (
                SCREEN,
                "pixels * (2 / width) - np.array([1, height / width], dtype=pixels.dtype)",
                "pixels * np.array([2 / width, 2 / height], pixels.dtype) - pixels.dtype.type(1)",
            ),
        ),
        ("tests/pose/test_camera.py", "tests/data/h36m"),
    ),
    Fault(
        "quaternion not inverted",
        (
            (
                CAMERA,
                "np.asarray(camera.orientation) * np.array([1, -1, -1, -1])",
                "np.asarray(camera.orientation)",
            ),
        ),
        ("tests/pose/test_camera.py",),
    ),
    Fault(
        "p1 and p2 swapped in the calibration",
        (
            (
                CALIBRATION,
                'tuple(lens["tangential_distortion"])',
                'tuple(lens["tangential_distortion"][::-1])',
            ),
        ),
        TEST_LENS,
    ),
    Fault(
        "c_x and c_y swapped in the calibration",
        ((CALIBRATION, 'tuple(lens["center"])', 'tuple(lens["center"][::-1])'),),
        TEST_LENS,
    ),
    Fault(
        "f_x and f_y swapped in the calibration",
        ((CALIBRATION, 'tuple(lens["focal_length"])', 'tuple(lens["focal_length"][::-1])'),),
        TEST_LENS,
    ),
    Fault(
        "k1 and k3 swapped in the calibration",
        (
            (
                CALIBRATION,
                'tuple(lens["radial_distortion"])',
                'tuple(lens["radial_distortion"][::-1])',
            ),
        ),
        TEST_LENS,
    ),
    Fault(
        "getattr admitted by the unpickler",
        (
            (
                "rsnet_jax/files/safe_pickle.py",
                '    ("builtins", "set"): _set,',
                '    ("builtins", "getattr"): getattr,\n    ("builtins", "set"): _set,',
            ),
        ),
        ("tests/files/test_safe_pickle.py", "tests/checkpoints/test_torch_file.py"),
    ),
    Fault(
        "storage offset ignored",
        (
            (
                TORCH_FILE,
                "as_strided(storage[offset:], shape, byte_strides)",
                "as_strided(storage, shape, byte_strides)",
            ),
        ),
        ("tests/checkpoints/test_torch_file.py",),
    ),
    Fault(
        "strides ignored",
        (
            (
                TORCH_FILE,
                "view = np.lib.stride_tricks.as_strided(storage[offset:], shape, byte_strides)",
                "del byte_strides\n        view = storage[offset : offset + size].reshape(shape)",
            ),
        ),
        ("tests/checkpoints/test_torch_file.py",),
    ),
    Fault(
        "an unknown key dropped",
        (
            (
                "rsnet_jax/checkpoints/key_tables/entry.py",
                "    if extra := [key for key in tensors if key not in wanted]:\n",
                "    if extra := []:\n",
            ),
        ),
        (TEST_KEYS, "tests/checkpoints/test_published.py"),
    ),
    Fault(
        "joint 16 dropped instead of 9",
        (
            (
                "rsnet_jax/data/h36m/joint_order.py",
                "to_h36m16=H36M17_TO_16,",
                "to_h36m16=tuple(range(16)),",
            ),
        ),
        ("tests/data/h36m",),
    ),
    Fault(
        "2D cut from the front",
        (
            (
                "rsnet_jax/data/h36m/read.py",
                "points[: len(joints), :, :2]",
                "points[-len(joints) :, :, :2]",
            ),
        ),
        ("tests/data/h36m",),
    ),
    Fault(
        "held-out subject not removed from training",
        (
            (
                "rsnet_jax/data/load.py",
                "tuple(subject for subject in data.subjects_train if subject != validation)",
                "data.subjects_train",
            ),
        ),
        ("tests/training/test_loop.py::test_held_out_subject", "tests/training/test_loop.py"),
    ),
    Fault(
        "the recipe's loss ignored",
        (("rsnet_jax/training/program.py", "loss=config.train.loss,", 'loss="mse_l1",'),),
        ("tests/training/test_recipes.py",),
    ),
    Fault(
        "PCK counts errors at the limit",
        ((METRICS, "errors[..., None] < limits", "errors[..., None] <= limits"),),
        (TEST_PCK,),
    ),
    Fault(
        "AUC without 0 mm",
        ((PCK, "range(0, 151, 5)", "range(5, 151, 5)"),),
        (TEST_PCK,),
    ),
    Fault(
        "PCK of all is the mean of the scenes",
        (
            (
                PCK,
                '{"all": everything, **scenes}',
                '{"all": _mean(list(scenes.values())), **scenes}',
            ),
        ),
        (TEST_PCK,),
    ),
    Fault(
        "spine counted in the official convention",
        ((PCK, '"official": ("pelvis", "spine")', '"official": ("pelvis",)'),),
        (TEST_PCK,),
    ),
    Fault(
        "MPI-INF-3DHP outdoors normalized like the studio",
        (("rsnet_jax/data/mpi_inf_3dhp/scenes.py", "(1920, 1080) if", "(2048, 2048) if"),),
        ("tests/data/mpi_inf_3dhp",),
    ),
    Fault(
        "frames that are not valid kept",
        (
            (
                "rsnet_jax/data/mpi_inf_3dhp/official.py",
                "np.flatnonzero(valid)",
                "np.flatnonzero(valid >= 0)",
            ),
        ),
        ("tests/data/mpi_inf_3dhp/test_official.py",),
    ),
    Fault(
        "poses in millimeters are plausible",
        ((PLAUSIBLE, "(0.1, 2.0)", "(0.1, 2000.0)"), (PLAUSIBLE, "(0.9, 1.8)", "(0.9, 1800.0)")),
        ("tests/data/test_plausible.py", "tests/data/mpi_inf_3dhp"),
    ),
    Fault(
        "mirrored poses are plausible",
        ((PLAUSIBLE, "< -0.5 * np.sum", "< -5 * np.sum"),),
        ("tests/data/test_plausible.py", "tests/data/mpi_inf_3dhp"),
    ),
)
