"""The devices of a run: per-device code runs on all of them, by shard_map over a mesh or pmap."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rsnet_jax.config import ParallelConfig, Residency
from rsnet_jax.errors import ConfigError

AXIS = "data"
"""The name of the axis over which per-device code takes means and sums."""
ACCELERATOR_EVAL_BATCH = 512
"""Poses per device and batch that keep a GPU or a TPU busy."""
ACCELERATOR_STEPS_PER_CALL = 64
"""Steps per call that keep a GPU or a TPU from waiting for the host."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run, those of all its processes, as a mesh with one axis."""

    mesh: Mesh
    strategy: str

    @classmethod
    def choose(cls, config: ParallelConfig) -> "Devices":
        """The devices that a configuration asks for.

        Raises:
            ConfigError: there are fewer devices, or a process would be left without one.
        """
        found = jax.devices()
        if config.devices is not None and config.devices > len(found):
            raise ConfigError(
                f"parallel.devices: {config.devices} were wanted, only {len(found)} found"
            )
        chosen = found[: config.devices]
        if {device.process_index for device in chosen} != set(range(jax.process_count())):
            raise ConfigError(
                f"parallel.devices: the first {len(chosen)} of {len(found)} devices leave one of "
                f"{jax.process_count()} processes without any; leave it out to use all"
            )
        return cls(Mesh(np.array(chosen), (AXIS,)), config.strategy)

    @property
    def count(self) -> int:
        """The number of devices, over all processes."""
        return self.mesh.size

    @property
    def steps_per_call(self) -> int:
        """The number of steps in one call of a compiled program.

        Few on a CPU, whose steps are long and calls cheap; many on an accelerator, which would
        wait for the host between calls.
        """
        on_cpu = self.mesh.devices.flat[0].platform == "cpu"
        return 4 if on_cpu else ACCELERATOR_STEPS_PER_CALL

    @property
    def eval_batch_per_device(self) -> int:
        """The number of poses that each device predicts at once.

        Few on a CPU, so that the arrays between layers fit in its caches; many on an accelerator,
        whose units would be idle otherwise.
        """
        on_cpu = self.mesh.devices.flat[0].platform == "cpu"
        return 128 if on_cpu else ACCELERATOR_EVAL_BATCH

    @property
    def local_numbers(self) -> list[int]:
        """The numbers of this process's devices among all of them."""
        own = jax.process_index()
        return [i for i, device in enumerate(self.mesh.devices.flat) if device.process_index == own]

    @property
    def memory(self) -> int:
        """The bytes of memory of each device; CPU devices share that of the machine."""
        device = self.mesh.local_devices[0]
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            return stats["bytes_limit"]
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return machine // len(self.mesh.local_devices)

    def has_room(self, size: int) -> bool:
        """True if data of `size` bytes may be copied to every device: a quarter of its memory."""
        return size <= self.memory / 4

    def choose_residency(self, residency: Residency, size: int, *, what: str) -> Residency:
        """Where data are to be: "device" if `size` bytes are to be copied to every device.

        They are if that is at most a quarter of a device's memory; more are read in parts, as they
        are needed ("stream").

        Args:
            residency: the setting: "auto" for this rule; "device" or "stream" decide it.
            size: bytes of the data.
            what: the data, for messages.

        Raises:
            ConfigError: `residency` is "device", and the data are too large.
        """
        fits = self.has_room(size)
        took = (
            f"{what} take {size / 2**30:.2f} GiB, more than a quarter of a device's "
            f"{self.memory / 2**30:.2f} GiB"
        )
        if residency == "device" and not fits:
            raise ConfigError(
                f"data.residency device: {took}; choose stream or auto, or fewer with --data.every "
                "or --data.actions"
            )
        if residency == "auto" and not fits:
            log.info("%s: they are read in parts, as they are needed", took)
        if residency == "auto":
            return "device" if fits else "stream"
        return residency

    def replicate(self, tree: Any) -> Any:
        """Puts a copy of every array on every device; every process must hold the same values."""
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        if everywhere.is_fully_addressable:
            return jax.device_put(tree, everywhere)

        def place(array: Any) -> jax.Array:
            values = np.asarray(array)
            # device_put would send the values to all processes, to check that they are equal.
            return jax.make_array_from_callback(values.shape, everywhere, values.__getitem__)

        return jax.tree.map(place, tree)

    def split(self, tree: Any) -> Any:
        """Puts a part of every array on each device; the first axis of an array is the device.

        Each process passes the parts of its own devices, in the order of `local_numbers`.
        """
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))

        def place(parts: np.ndarray) -> jax.Array:
            pieces = [
                jax.device_put(part[None], device)
                for part, device in zip(parts, self.mesh.local_devices, strict=True)
            ]
            shape = (self.count, *parts.shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, pieces)

        return jax.tree.map(place, tree)

    def join(self, tree: Any) -> Any:
        """Copies to every device what is split: parts (device, n, ...) -> (device * n, ...)."""
        return _joiner(self.mesh)(tree)

    def connect(self) -> None:
        """Makes the first connection between the devices of several processes.

        The first collective operation fails if a process comes to it half a minute after another.
        Done here, before any process compiles its programs, it does not depend on how long that
        takes in each of them.
        """
        if jax.process_count() > 1:
            total = self.compile_spmd(lambda one: jax.lax.psum(one, AXIS))(
                self.replicate(jnp.ones(()))
            )
            assert int(total) == self.count

    def compile_spmd(
        self,
        function: Callable[..., Any],
        *,
        donate: bool = False,
        split: Sequence[int] = (),
        split_state: Any = False,
    ) -> Callable[..., Any]:
        """Compiles per-device code `function(state, *rest)` into one program for all devices.

        Arguments must have been placed with `replicate`; results are replicated too. In the code,
        `jax.lax.axis_index(AXIS)` is the number of the device.

        Args:
            function: the code.
            donate: reuses the memory of `state` for the result.
            split: numbers of arguments, from 1, that have been placed with `split` instead. The
                code sees the part of its device, without the first axis.
            split_state: the same for parts of `state` and of the result, which then is a state too:
                a tree of booleans that has the form of the state, or ends above its arrays.
        """
        if self.strategy == "pmap":
            return self._compile_by_pmap(
                function, donate=donate, split=split, split_state=split_state
            )

        def specs_of(parts: Any) -> Any:
            return jax.tree.map(
                lambda part: PartitionSpec(AXIS) if part else PartitionSpec(), parts
            )

        def program(state: Any, *rest: Any) -> Any:
            are_split = tuple(number in split for number in range(1, len(rest) + 1))

            def with_own_parts(state: Any, *rest: Any) -> Any:
                own = (_own(part, one) for part, one in zip(are_split, rest, strict=True))
                result = function(_own(split_state, state), *own)
                return jax.tree.map(
                    lambda part, tree: jax.tree.map(lambda x: x[None], tree) if part else tree,
                    split_state,
                    result,
                )

            mapped = jax.shard_map(
                with_own_parts,
                mesh=self.mesh,
                in_specs=(specs_of(split_state), *specs_of(are_split)),
                out_specs=specs_of(split_state),
                check_vma=False,
            )
            return mapped(state, *rest)

        return jax.jit(program, donate_argnums=(0,) if donate else ())

    def _compile_by_pmap(
        self, function: Callable[..., Any], *, donate: bool, split: Sequence[int], split_state: Any
    ) -> Callable[..., Any]:
        state_axes = jax.tree.map(lambda part: 0 if part else None, split_state)

        @functools.cache
        def mapped(arguments: int) -> Callable[..., Any]:
            places = tuple(0 if number in split else None for number in range(1, arguments + 1))
            return jax.pmap(
                lambda _, state, rest: function(state, *rest),
                axis_name=AXIS,
                in_axes=(0, state_axes, places),
                out_axes=state_axes,
                devices=list(self.mesh.devices.flat),
                donate_argnums=(1,) if donate else (),
            )

        # pmap needs at least one argument that differs between devices.
        numbers = jax.make_array_from_callback(
            (self.count,),
            NamedSharding(self.mesh, PartitionSpec(AXIS)),
            np.arange(self.count).__getitem__,
        )
        everywhere = NamedSharding(self.mesh, PartitionSpec())

        def rejoin(part: bool, array: jax.Array) -> jax.Array:
            """An array over all devices from what pmap returns, one over this process's devices."""
            pieces = [shard.data for shard in array.addressable_shards]
            shape, sharding = array.shape, everywhere
            if part:
                shape, sharding = (self.count, *shape[1:]), numbers.sharding
            return jax.make_array_from_single_device_arrays(shape, sharding, pieces)

        def call(state: Any, *rest: Any) -> Any:
            results = mapped(len(rest))(numbers, state, rest)
            if everywhere.is_fully_addressable:
                return results
            return jax.tree.map(
                lambda part, tree: jax.tree.map(functools.partial(rejoin, part), tree),
                split_state,
                results,
            )

        return call


def _own(parts: Any, tree: Any) -> Any:
    """What a device sees of `tree`: where `parts` is true its own part, without the first axis."""
    return jax.tree.map(
        lambda part, under: jax.tree.map(lambda x: x[0], under) if part else under, parts, tree
    )


@functools.cache
def _joiner(mesh: Mesh) -> Callable[[Any], Any]:
    def join(tree: Any) -> Any:
        return jax.tree.map(lambda parts: parts.reshape(-1, *parts.shape[2:]), tree)

    return jax.jit(join, out_shardings=NamedSharding(mesh, PartitionSpec()))
