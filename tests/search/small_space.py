"""The files of a space of twelve networks, and of functions that measure them."""

SPACE = """
import torch
from torch import nn

INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 10


def suggest(trial):
    depth = trial.suggest_int("depth", 1, 2)
    widths = [trial.suggest_categorical(f"width {n}", [2, 4, 6]) for n in range(depth)]
    return "-".join(map(str, widths))


def build(arch):
    widths = [3, *map(int, arch.split("-"))]
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))
"""

COSTS = """
def layers(model):
    return len(list(model.modules()))


def text(arch):
    return len(arch)


def outputs(model, images):
    return model(images).shape[0]


def wrong(model, watts):
    return 1


def broken(arch):
    raise RuntimeError("no meter here")
"""
