"""NAS-Bench-101, NAS-Bench-Macro and Channel-Bench-Macro from the tables in the data folder.

Ying et al., "NAS-Bench-101: towards reproducible neural architecture search", ICML 2019. Su et
al., "Prioritized architecture sampling with Monto-Carlo tree search", CVPR 2021. Su et al.,
"BCNet: searching for network width with bilaterally coupled network", CVPR 2021. All of them were
trained on CIFAR-10.
"""

from __future__ import annotations

from pathlib import Path

from greenmachine.benchmarks.datasets import CIFAR10
from greenmachine.benchmarks.spaces import CELLS_101, CHANNEL_RESNET, MACRO
from greenmachine.benchmarks.table import TableSchema
from greenmachine.benchmarks.table_benchmark import TableBenchmark

__all__ = ["CHANNEL_RESNET_TABLE", "MACRO_TABLE", "TABLES", "TABLE_101"]

_FOLDER = Path("nas-benchmarks")

TABLE_101 = TableBenchmark(
    name="nas-bench-101",
    space=CELLS_101,
    place=_FOLDER / "nas-bench-101.parquet",
    image_sets=(CIFAR10,),
    schema=TableSchema(
        datasets=(CIFAR10.name,),
        isomorph=False,
        command="greenmachine data import-nas-bench-101 nasbench_only108.tfrecord",
        address="https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
        truths=("test", "valid"),
        others=("key",),
    ),
    key="key",
)
"""Cells after 108 epochs. The true accuracy is the mean over the runs on the test images if the
table has it, else that on the validation images."""

MACRO_TABLE = TableBenchmark(
    name="nas-bench-macro",
    space=MACRO,
    place=_FOLDER / "nas-bench-macro.parquet",
    image_sets=(CIFAR10,),
    schema=TableSchema(
        datasets=(CIFAR10.name,),
        isomorph=True,
        command="greenmachine data import-nas-bench-macro nas-bench-macro_cifar10.json",
        address="https://github.com/xiusu/NAS-Bench-Macro",
    ),
)
"""6,561 networks, 3,969 of them distinct; test accuracy, mean over three seeds."""

CHANNEL_RESNET_TABLE = TableBenchmark(
    name="channel-resnet",
    space=CHANNEL_RESNET,
    place=_FOLDER / "channel-bench-resnet.parquet",
    image_sets=(CIFAR10,),
    schema=TableSchema(
        datasets=(CIFAR10.name,),
        isomorph=False,
        command="greenmachine data import-channel-bench Results_ResNet.json",
        address="https://github.com/xiusu/Channel-Bench-Macro",
    ),
)
"""16,384 width settings; test accuracy, mean over three seeds."""

TABLES: tuple[TableBenchmark, ...] = (TABLE_101, MACRO_TABLE, CHANNEL_RESNET_TABLE)
