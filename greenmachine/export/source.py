"""Export an expression as one Python file that needs only torch.

``compact.py`` writes the compact form. This module writes the exact form, which gives the engine's
scores bit for bit: it contains the capture of signals and the primitives that the formula calls, as
copies of the engine's sources, and the formula as straight-line code. Annotations are not postponed
in that file, because a dataclass with postponed annotations fails if a file is loaded by its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenmachine.engine.graph import EIGENVALUES
from greenmachine.errors import ConfigError
from greenmachine.export.compact import compact_source, fits_compact
from greenmachine.export.describe import better, docstring
from greenmachine.export.formula import Formula, write_formula
from greenmachine.export.inline import import_lines, inline
from greenmachine.export.layout import WIDTH, indented, literal
from greenmachine.export.trial import check_export
from greenmachine.files import write_text
from greenmachine.language import Expression, parse
from greenmachine.primitives import eigenvalues, vocabulary
from greenmachine.signals.paper_passes import MODE_SIGNALS, RANDOM, modes_of
from greenmachine.signals.registry import PASSES, wanted_of

__all__ = ["export_source", "write_export"]

_CAPTURE = "greenmachine.signals.capture"
_PASSES = "greenmachine.signals.passes"
_MODES = "greenmachine.signals.paper_passes"
_RUNTIME = "greenmachine.export.runtime"
_NETWORKS = "greenmachine.networks."
_PRIMITIVES = "greenmachine.primitives."

_TEMPLATE = '''"""{docstring}
"""

{imports}

__all__ = ["DIRECTION", "EXPRESSION", "SHAPE", "score"]

{expression}
DIRECTION = {direction}  # a {word} score is good
SHAPE = {shape}  # {sides} of the noise if neither images nor a shape are given

{definitions}


# --- the proxy ------------------------------------------------------------------------------


{formula}


def signals_of(
    model: nn.Module, images: Any, labels: Any, shape: tuple[int, ...], seed: int
) -> list[Layer]:
    """Return the layers in execution order, with the signals that the formula reads."""
{signals}


class Proxy:
    """A zero-cost proxy: call it on a network; its repr is the formula."""

    def __call__(
        self,
        model: nn.Module,
        images: Any = None,
        labels: Any = None,
        *,
        shape: tuple[int, ...] | None = None,
        seed: int = 0,
        output: Output | None = None,
    ) -> float:
        """Return the score of ``model``, which is left unchanged.

        Torch runs on one thread, whatever its settings, so that the score is the same everywhere.
        It warns if the network has weights outside of convolutions and linear layers.

        Args:
            model: any network with convolutions or linear layers, on any device.
            images: {images_doc}
            labels: {labels_doc}
            shape: shape of the noise if no images are given; None means ``SHAPE``.
            seed: seed of the noise, and of randomness inside the network.
            output: which part of the returned value is the network's output: an index, a key or a
                function. None takes a tensor, ``logits``, or the only tensor among several values.

        Returns:
            The score; NaN if the formula has no value or a weight is not finite.

        Raises:
            ValueError: the network, the images or the labels cannot be read.
        """
        size = shape_for(images, shape or SHAPE)
        with untouched(model, seed), single_output(model, output):
            layers = signals_of(model, images, labels, size, seed)
            with torch.no_grad():
                score = formula({call})
            return warned(model, layers, score, images, size, seed)

    def __repr__(self) -> str:
        return EXPRESSION


score = Proxy()
'''


def export_source(
    expression: str | Expression,
    *,
    direction: int,
    shape: Sequence[int],
    name: str,
    provenance: Mapping[str, object] | None = None,
    tau: Mapping[str, Any] | None = None,
    exact: bool = False,
) -> str:
    """Return the source of a file with ``score(model, images=None, labels=None, *, ...)``.

    The compact form agrees with the engine to 1e-5 of a score. Formulas of the paper language, and
    those that read a plugin's pass, have only the exact form.

    Args:
        expression: of kind ``NetworkScalar``.
        direction: 1 if a high score is good, -1 if a low score is good.
        shape: (B, C, H, W) of the noise images in the run; (B, features) if they are vectors.
        name: name of the proxy, for the docstring.
        provenance: facts about its origin (run, seed, samples, date, git), printed unchanged.
        tau: measured tau-b by row, such as ``{"train": 0.8, "test": (0.79, 0.01)}``: a number, a
            pair of number and standard error, a mapping with ``tau`` and ``standard_error``, or a
            mapping of further rows (data sets, baselines). The compact form leaves it to the .json
            beside the file.
        exact: whether the file gives the engine's score bit for bit, on any network: 1,450 lines.

    Raises:
        ExpressionError: the expression is invalid.
        ConfigError: direction or shape are out of range, or a plugin's source gives another score
            in the file than here.
    """
    tree = parse(expression.text if isinstance(expression, Expression) else expression)
    if direction not in (1, -1):
        raise ConfigError(f"direction {direction!r} is not 1 or -1")
    if len(shape) < 2 or any(int(side) != side or side < 1 for side in shape):
        raise ConfigError(
            f"shape {tuple(shape)!r} is not the shape of a batch: give positive (B, C, H, W)"
        )
    sides = [int(side) for side in shape]
    if not exact and fits_compact(tree):
        source = compact_source(tree, name=name, direction=direction, shape=sides)
        check_export(source, tree, direction, sides)
        return source
    formula = write_formula(tree)
    passes = _passes(tree)
    captured = {"shape_for", "merged", "warned"}
    captured |= {"add_weights"} if "weight" in tree.terminals else set()
    roots = [(_RUNTIME, function) for function in sorted(captured | formula.runtime)]
    roots += [(_NETWORKS + "untouched", "untouched"), (_NETWORKS + "outputs", "single_output")]
    roots += [(_NETWORKS + "outputs", "Output")]
    functions = [PASSES[name].function for name in passes]
    roots += [(function.__module__, function.__name__) for function in functions]
    roots += [(_PASSES, "Inputs")] if passes else []
    roots += [(_MODES, "mode_passes")] if modes_of(tree.terminals) else []
    roots += [(_MODES, "add_random")] if tree.terminals & RANDOM else []
    for called in sorted(formula.primitives):
        spectral = called == EIGENVALUES
        function = eigenvalues if spectral else vocabulary[called].function
        roots.append((function.__module__, called))
    pieces = inline(roots)
    pieces.imports |= {("torch", ""), ("torch", "Tensor"), ("torch", "nn"), ("typing", "Any")}
    needs_data = any(PASSES[name].needs_images for name in passes)
    source = _TEMPLATE.format(
        docstring=docstring(name, tree, direction, needs_data, provenance or {}, tau or {}),
        imports=import_lines(pieces.imports),
        expression=literal("EXPRESSION", tree.text),
        direction=direction,
        word=better(direction),
        shape=repr(tuple(sides)),
        sides="(B, C, H, W)" if len(sides) == 4 else "shape",
        formula=_formula(formula),
        signals=_signals(tree, passes),
        images_doc="(B, C, H, W), a mini-batch of the data set."
        if needs_data
        else "only their shape is used, for the noise; None means ``SHAPE``.",
        labels_doc="(B,) class indices of the images." if needs_data else "not used.",
        call="layers, size[0]" if _needs_batch(formula) else "layers",
        definitions=_definitions(pieces.definitions),
    )
    check_export(source, tree, direction, sides)
    return source


def write_export(path: Path, expression: str | Expression, **options: Any) -> None:
    """Write :func:`export_source` of the same arguments to ``path``, atomically."""
    write_text(path, export_source(expression, **options))


def _passes(tree: Expression) -> list[str]:
    """Return the passes to run; without any, noise shows which layers run."""
    needed = [name for name in PASSES if wanted_of(name, tree.terminals)]
    return needed if needed or modes_of(tree.terminals) else ["noise"]


def _needs_batch(formula: Formula) -> bool:
    return "repeated_maps" in formula.runtime


def _formula(formula: Formula) -> str:
    batch = ", batch: int" if _needs_batch(formula) else ""
    text = f'def formula(layers: list[Layer]{batch}) -> float:\n    """Score of a network."""\n'
    text += indented(formula.network)
    if not formula.layer:
        return text
    layer = f"def layer_values(layer: Layer{batch}) -> tuple[Tensor, ...]:\n"
    layer += '    """The values of one layer that the formula reads."""\n'
    return f"{layer}{indented(formula.layer)}\n\n\n{text}"


def _signals(tree: Expression, passes: list[str]) -> str:
    modes = modes_of(tree.terminals)
    lines = []
    if passes:
        lines.append("inputs = Inputs(shape, images, labels)")
    if modes:
        read = [name for name in MODE_SIGNALS if name in tree.terminals - RANDOM]
        lines += ["wanted = {", *(f'    "{name}",' for name in read), "}"]
    lines.append("passes = {")
    text = indented(lines) + "\n"
    for name in passes:
        wanted = _set(sorted(wanted_of(name, tree.terminals)))
        entry = f'"{name}": {PASSES[name].function.__name__}(model, inputs, {wanted}, seed),'
        text += indented([entry], 8) + "\n"
    if modes:
        text += indented(["**dict(mode_passes(model, wanted, shape, seed)),"], 8) + "\n"
    added = ["add_weights(layers)"] if "weight" in tree.terminals else []
    if random := tree.terminals & RANDOM:
        added.append(f"add_random(layers, {_set(sorted(random))})")
    if not added:
        return text + indented(["}", "return merged(passes)"])
    return text + indented(["}", "layers = merged(passes)", *added, "return layers"])


def _set(names: Sequence[str]) -> str:
    """Return the set of ``names`` as Python code."""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"{{{quoted}}}" if quoted else "set()"


def _definitions(definitions: Mapping[str, list[str]]) -> str:
    """Return the inlined sources, ordered so that annotations refer to earlier definitions."""
    order = sorted(
        definitions, key=lambda m: (m.startswith("greenmachine.primitives"), m == _RUNTIME, m)
    )
    text = ""
    for module in order:
        title = f"# --- {module.replace('.', '/')}.py "
        text += f"{title.ljust(WIDTH - 6, '-')}\n"
        alone = False  # whether two blank lines follow the definition before
        for place, definition in enumerate(definitions[module]):
            was_alone, alone = alone, definition.startswith(("def ", "class ", "@"))
            gap = 2 if alone or was_alone else int(place == 0)
            text += "\n" * gap + f"{definition}\n"
        text += "\n\n"
    return text.rstrip("\n")
