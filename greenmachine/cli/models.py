"""``greenmachine rank`` and ``greenmachine score --model``: score networks named by texts."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenmachine.cli.names import check_file, completed
from greenmachine.cli.stopping import say_when_stopped
from greenmachine.errors import ConfigError, one_line, printable

if TYPE_CHECKING:
    import pandas as pd

    from greenmachine.api.scorer import Scorer

__all__ = [
    "AsCSV",
    "Images",
    "Models",
    "Output",
    "Shape",
    "check_device",
    "check_proxies",
    "rank",
    "refuse_without_model",
    "score_named",
]

_DEVICE = re.compile(r"cpu|auto|cuda(:\d{1,3})?")
_SHAPE = re.compile(r"\d{1,6}([x,]\d{1,6})*", re.IGNORECASE)
_OWN = ("model", "shape", "images", "output", "as_csv")  # options that need --model
_SHARED = ("proxies", "batch", "seed", "seeds", "device", "as_json")  # also without --model

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="SOURCE:NAME[(ARGUMENTS)]",
        help="network to score: package.module:factory, file.py:factory, pytorchcv:NAME, "
        "transformers:NAME or timm:NAME, with literal arguments in brackets; may be given several "
        "times",
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        metavar="CxHxW",
        help="shape of one input of the networks, such as 3x32x32 [default: that of the network]",
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="mini-batch for proxies that need data: an .npz file with `images` (B, C, H, W) and "
        "`labels` (B,), or an .npy file of images"
    ),
]
Output = Annotated[
    str | None,
    typer.Option(help="index or key of the output in what the networks return, such as logits"),
]
AsCSV = Annotated[bool, typer.Option("--csv", help="print CSV instead of a table")]


def rank(
    proxies: Annotated[
        list[str],
        typer.Argument(
            metavar="PROXY...",
            help="names of proxies, expressions, exported .py files or run folders; several are "
            "combined as rank_sum(a, b) does, or write log_rank_sum(a, -b)",
            autocompletion=completed("proxies"),
        ),
    ],
    model: Models = None,
    shape: Shape = None,
    images: Images = None,
    output: Output = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="images per pass")] = 8,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="seed of the weights and the noise")
    ] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="rank by the mean score over this number of seeds"),
    ] = None,
    device: Annotated[
        str, typer.Option(help="device of the networks: cpu, cuda, cuda:1, or auto")
    ] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    as_csv: AsCSV = False,
) -> None:
    """Rank networks, the best first.

    Random weights are drawn from --seed. A network that cannot be built or scored ranks last. The
    command prints the reason on standard error, ranks the others, and its exit code is 1. If the
    text of a --model cannot be read, nothing is scored, and the exit code is 2.

    Examples:

      greenmachine rank gm_any --model pytorchcv:resnet20_cifar10 --model pytorchcv:nin_cifar10

      greenmachine rank gm_any synflow --model "my.models:resnet(depth=20)" --model
      "my.models:resnet(depth=56)" --shape 3x32x32

      greenmachine rank nwot --model nets.py:small --model nets.py:large --images batch.npz

      greenmachine rank gm_any --model "transformers:ViTConfig(image_size=32, patch_size=4)" --json
    """
    if not model:
        raise ConfigError("no networks: name them with --model, such as --model nets.py:small")
    _refuse_both(as_json, as_csv)
    table, scorer = _scored(
        proxies, model, shape, images, output, batch=batch, seed=seed, seeds=seeds, device=device
    )
    from greenmachine.api.scoring import ranking

    _print(ranking(table, scorer), table, scorer, as_json, as_csv)


def score_named(
    context: typer.Context,
    proxies: list[str],
    models: list[str],
    shape: str | None,
    images: Path | None,
    output: str | None,
    *,
    as_json: bool,
    as_csv: bool,
    **options: Any,
) -> None:
    """Score the networks of ``greenmachine score --model``.

    Args:
        context: context of the command, which knows the given options.
        proxies: texts of the proxies.
        models: texts of the networks.
        shape: shape of one input, as typed.
        images: file of a mini-batch.
        output: output of the networks, as typed.
        as_json: whether to print JSON.
        as_csv: whether to print CSV.
        options: ``batch``, ``seed``, ``seeds`` and ``device``.

    Raises:
        ConfigError: an option is only for benchmarks.
    """
    for name in context.params:
        if name not in (*_OWN, *_SHARED) and _given(context, name):
            raise ConfigError(
                f"{_option(context, name)} is for networks of a benchmark: leave it out with "
                "--model"
            )
    _refuse_both(as_json, as_csv)
    table, scorer = _scored(proxies, models, shape, images, output, sums=False, **options)
    _print(table, table, scorer, as_json, as_csv)


def refuse_without_model(context: typer.Context) -> None:
    """Refuse options that need ``--model``."""
    for name in _OWN:
        if name in context.params and _given(context, name):
            raise ConfigError(
                f"{_option(context, name)} is for networks by name: add --model, such as --model "
                "pytorchcv:resnet20_cifar10"
            )


def check_device(text: str) -> None:
    """Refuse a text that is not a device, before the slow import of torch."""
    if not _DEVICE.fullmatch(text):
        raise ConfigError(f"--device {text}: choose cpu, cuda, cuda:0, cuda:1, ... or auto")


def check_proxies(texts: list[str]) -> None:
    """Refuse texts that are clearly not proxies, before the slow import of torch."""
    for text in map(str.strip, texts):
        if text.endswith(".py"):
            check_file(Path(text), "exported proxy", "give the .py of an export")
        elif ":" in text.partition("(")[0] and not Path(text).exists():
            raise ConfigError(f"{text} is not a proxy: write --model before every network")


def _refuse_both(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise ConfigError("give only one of --json and --csv")


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _option(context: typer.Context, name: str) -> str:
    return next(p.opts[0] for p in context.command.params if p.name == name)


def _scored(
    proxies: list[str],
    texts: list[str],
    shape: str | None,
    images: Path | None,
    output: str | None,
    *,
    batch: int,
    seed: int,
    seeds: int | None,
    device: str,
    sums: bool = True,
) -> tuple[pd.DataFrame, Scorer]:
    """Score networks; return one row per network in the given order, and the scorer.

    Args:
        proxies: texts of the proxies.
        texts: texts of the networks.
        shape: shape of one input, as typed.
        images: file of a mini-batch.
        output: output of the networks, as typed.
        batch: number of noise inputs.
        seed: seed of the weights and the noise.
        seeds: number of seeds.
        device: device, as typed.
        sums: whether a rank sum is allowed.
    """
    check_proxies(proxies)
    check_device(device)
    size = None if shape is None else (batch, *_sides(shape))
    if images is not None:
        check_file(images, "images", "give an .npz with images and labels")
        if size is not None:
            raise ConfigError("--images have a shape of their own: leave out --shape")

    from greenmachine.api.models import ModelText
    from greenmachine.api.scorer import Network, scorer_of
    from greenmachine.api.scoring import score_table
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar

    try:
        models = [ModelText.read(text).text for text in dict.fromkeys(map(str.strip, texts))]
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from None
    loaded, labels = (None, None) if images is None else _batch(images)
    index = output is not None and re.fullmatch(r"-?\d{1,4}", output)
    part = int(output) if output is not None and index else output
    chosen = proxies if len(proxies) > 1 else proxies[0]
    scorer = scorer_of(
        chosen, loaded, labels, size, seed, part, device, batch, seeds=seeds, sums=sums
    )

    def counted() -> Iterator[tuple[str, Network]]:
        for done, text in enumerate(models):
            told(done, len(models))
            yield text, text
        told(len(models), len(models))

    console = plain_console(stderr=True)
    # Text that a network prints must not be mixed with the JSON.
    with (
        say_when_stopped("stopped"),
        bar(console, "networks") as told,
        contextlib.redirect_stdout(sys.stderr),
    ):
        return score_table(counted(), scorer), scorer


def _print(
    shown: pd.DataFrame, table: pd.DataFrame, scorer: Scorer, as_json: bool, as_csv: bool
) -> None:
    """Print ``shown``, and print failures on standard error.

    Raises:
        typer.Exit: with code 1, if a network has no score by one of the proxies.
    """
    from greenmachine.api.ranking import Ranking
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import print_frame

    console = plain_console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False)
    if as_json:
        print_frame(shown, as_json=True)
    elif as_csv:
        typer.echo(shown.to_csv(index=False), nl=False)
    elif isinstance(shown, Ranking):
        typer.echo(repr(shown.assign(failure="")))
    else:
        covered = shown["coverage"].fillna(1).eq(1).all()
        print_frame(shown.drop(columns=["failure", *(["coverage"] if covered else [])]))
    failed = table[table["failure"] != ""]
    for name, failure in zip(failed["name"], failed["failure"], strict=True):
        say(f"{printable(name)}: {failure}")
    if len(failed):
        raise typer.Exit(1)


def _sides(shape: str) -> Sequence[int]:
    text = shape.strip().replace("×", "x")
    sides = tuple(map(int, re.split("[x,]", text.lower()))) if _SHAPE.fullmatch(text) else ()
    if not sides or 0 in sides:
        raise ConfigError(
            f"--shape {shape}: write one input of the network, such as 3x32x32 (channels, height, "
            "width); --batch says how many"
        )
    return sides


def _batch(path: Path) -> tuple[Any, Any]:
    """Read images and labels from a file; labels are None if the file has none.

    Raises:
        ConfigError: the file is not of this form.
    """
    import zipfile

    import numpy as np

    remedy = "give an .npz with `images` (B, C, H, W) and `labels` (B,)"
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return held, None
        with held:
            if "images" not in held:
                found = ", ".join(held.files[:6]) or "nothing"
                raise ConfigError(f"{path} holds {found}, and no images: {remedy}")
            return held["images"], held.get("labels")
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({one_line(error, 200)}): {remedy}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):  # numpy's own message suggests unpickling
        raise ConfigError(f"{path} holds no arrays of numbers: {remedy}") from None
