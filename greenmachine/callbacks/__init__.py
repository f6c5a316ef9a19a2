"""Callbacks: objects that follow a run, report it elsewhere, or end it.

To write one, derive from :class:`Callback`. The callbacks here can be given in Python as
``greenmachine.evolve(callbacks=[greenmachine.callbacks.EarlyStopping(patience=5)])``, in a settings
file as ``callbacks: [{scheme: early_stopping, patience: 5}, tensorboard]``, and on the command line
as ``--callback tensorboard``.
"""

from greenmachine.callbacks.base import (
    Callback,
    Callbacks,
    CallbackWarning,
    Champion,
    Generation,
    RunInfo,
    add_callbacks,
)
from greenmachine.callbacks.early_stopping import EarlyStopping
from greenmachine.callbacks.mlflow import MLflow
from greenmachine.callbacks.progress import Progress
from greenmachine.callbacks.tensorboard import TensorBoard
from greenmachine.callbacks.tracker import Tracker
from greenmachine.callbacks.wandb import WandB

__all__ = [
    "Callback",
    "CallbackWarning",
    "Callbacks",
    "Champion",
    "EarlyStopping",
    "Generation",
    "MLflow",
    "Progress",
    "RunInfo",
    "TensorBoard",
    "Tracker",
    "WandB",
    "add_callbacks",
]
