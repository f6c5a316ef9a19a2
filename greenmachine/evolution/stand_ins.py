"""Stand-ins: networks of one data set that are judged for another (``capture.stand_in``).

NATS-Bench builds the networks of one architecture from one seed. For two data sets with the same
image shape they differ only in the last layer, which has another number of classes. In the noise
pass they also see the same images, so that weights and activations are equal except in the last
layer. Gradients differ, as they would for another random initialisation of the last layer, and a
score that depends strongly on that initialisation ranks the networks of the two data sets
differently. With a stand-in, both tasks use the scores of one network on the training and
validation samples, which saves one capture and one evaluation. The test sample always has each data
set's own networks, so that an error of the stand-in shows there. In a run over several benchmarks,
``nats-tss/cifar100: cifar10`` applies to one of them. On the size space a stand-in is a poor
choice: the rank of the last layer is bounded by its width or by the number of classes, whichever is
smaller, and this differs between data sets.
"""

from __future__ import annotations

from collections.abc import Sequence

from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError
from greenmachine.evolution.tasks import Entry

__all__ = ["check_stand_ins"]


def check_stand_ins(config: RunConfig, entries: Sequence[Entry], terminals: Sequence[str]) -> None:
    """Refuse stand-ins whose networks would not see the same images.

    Raises:
        ConfigError: they read images of a data set, are not in the run, stand for each other in a
            chain, or take images of another shape.
    """
    stand_in = config.capture.stand_in
    if stand_in and any(name.startswith("data_") for name in terminals):
        raise ConfigError(
            "capture.stand_in: pass data reads the images of each data set, so none can stand for "
            "another: leave data out of passes, or stand_in out of capture"
        )
    names = [entry.name for entry in entries]
    stood_for = {name.rpartition("/")[2] for name in stand_in}
    for task, source in stand_in.items():
        benchmark, _, dataset = task.rpartition("/")
        where = f"capture.stand_in: {task}: {source}"
        if benchmark and benchmark not in names:
            raise ConfigError(f"{where}: the run has {' and '.join(names)}, no {benchmark}")
        if missing := [name for name in (dataset, source) if name not in config.datasets]:
            raise ConfigError(f"{where}: {missing[0]} is not among the tasks: add it there")
        if source in stood_for:
            raise ConfigError(f"{where}: {source} has a stand-in itself: name one for both")
        for entry in entries:
            if dataset not in entry.tasks or benchmark not in ("", entry.name):
                continue
            if source not in entry.tasks:
                raise ConfigError(f"{where}: {entry.name} has {dataset} but no {source}")
            shapes = [entry.benchmark.input_shape(name) for name in (dataset, source)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"{where}: on {entry.name} images of one are {shapes[0]}, of the other "
                    f"{shapes[1]}: only data sets of one image shape can share networks"
                )
