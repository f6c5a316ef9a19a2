"""Build networks from texts such as ``my.models:resnet(depth=20)``.

A text names a function or class that returns the network, and may give literal arguments. The
arguments are read as Python literals (``ast.literal_eval``), so no code in them is executed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import nn

from greenmachine.benchmarks.user_file import UserFile
from greenmachine.errors import ConfigError, NetworkError, with_type
from greenmachine.neutral import neutral, seeded

__all__ = ["Built", "ModelText", "known_shape", "load_model"]

_FORMS = (
    "package.module:factory, path/to/file.py:factory, pytorchcv:NAME, transformers:NAME or "
    "timm:NAME"
)
_EXAMPLE = "such as my.models:resnet(depth=20, norm='batch')"


class Built(NamedTuple):
    """A network, and the shape of one input if it is known.

    Attributes:
        model: the network.
        shape: (C, H, W); None if it is unknown.
    """

    model: nn.Module
    shape: tuple[int, ...] | None


def load_model(model: str, *, seed: int = 0) -> nn.Module:
    """Build the network that a text names.

    Args:
        model: ``package.module:factory``, ``path/to/file.py:factory``, ``pytorchcv:NAME``,
            ``timm:NAME`` or ``transformers:NAME``. For transformers, NAME is a model class, a
            configuration class, a model type, a folder or a name on the Hugging Face hub. Literal
            arguments may follow in brackets: ``my.models:resnet(depth=20)``. Modules in the current
            folder can be imported. The weights are random unless an argument such as
            ``pretrained=True`` loads others.
        seed: seed of the random weights.

    Returns:
        The network.

    Raises:
        ConfigError: the text is not valid.
        NetworkError: the module, the name or the library is missing, or the factory raises an error
            or returns something that is not a network.

    Examples:
        >>> greenmachine.load_model("pytorchcv:resnet20_cifar10")
        >>> greenmachine.load_model("transformers:ViTConfig(image_size=32, patch_size=4)")
    """
    read = ModelText.read(model)
    try:
        return read.build(seed).model
    except NetworkError as error:
        raise NetworkError(f"{read.text}: {error}") from error.__cause__


@dataclass(frozen=True)
class ModelText:
    """A parsed text that names a network.

    Attributes:
        text: the given text, without leading and trailing blanks.
        source: a module, a Python file, or a library.
        name: name of the function, class or model in the source.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
    """

    text: str
    source: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> ModelText:
        """Parse ``text`` without importing anything.

        Raises:
            ConfigError: the text is not valid.
        """
        text = text.strip()
        head, bracket, _ = text.partition("(")
        source, colon, name = (part.strip() for part in head.rpartition(":"))
        shown = short(text)
        if not (source and colon and name):
            raise ConfigError(f"model {shown}: write {_FORMS}")
        if not source.endswith(".py") and not _is_dotted(source):
            raise ConfigError(
                f"model {shown}: {source!r} is neither a module nor a .py file: write {_FORMS}"
            )
        if source not in _LIBRARIES and not _is_dotted(name):
            raise ConfigError(f"model {shown}: {name!r} is no name of a function or class")
        args, kwargs = _arguments(text[len(head) :], shown) if bracket else ((), {})
        return cls(text, source, name, args, kwargs)

    def build(self, seed: int = 0) -> Built:
        """Build the network.

        Args:
            seed: seed of the random weights.

        Raises:
            NetworkError: the network cannot be built. The message does not repeat the text.
        """
        with neutral(), seeded(seed), _here(), _own_dtype():
            library = _LIBRARIES.get(self.source)
            try:
                if library is not None:
                    model, shape = library(self.name, *self.args, **self.kwargs), None
                elif self.source.endswith(".py"):
                    model, shape = self._of_file(seed)
                else:
                    model, shape = self._of_module(seed)
            except (NetworkError, KeyboardInterrupt):
                raise
            except BaseException as error:  # a user's factory may even call sys.exit
                raise NetworkError(with_type(error)) from error
        if not isinstance(model, nn.Module):
            kind = (
                f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            )
            raise NetworkError(f"returned {kind}, not a torch.nn.Module: return the network")
        return Built(model, shape or known_shape(model))

    def _of_module(self, seed: int) -> tuple[Any, tuple[int, ...] | None]:
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(self.source)
        except ModuleNotFoundError as error:
            if error.name and f"{self.source}.".startswith(f"{error.name}."):
                raise NetworkError(
                    f"no module {error.name!r}: install it, go to its folder, or write "
                    f"path/to/file.py:{self.name}"
                ) from error
            raise NetworkError(f"importing {self.source} failed: {with_type(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's module may raise anything
            raise NetworkError(f"importing {self.source} failed: {with_type(error)}") from error
        made = self._made(seed, module, lambda factory: factory(*self.args, **self.kwargs))
        return made, _shape_of(getattr(module, "INPUT_SHAPE", None))

    def _of_file(self, seed: int) -> tuple[Any, tuple[int, ...] | None]:
        path = Path(self.source).expanduser().absolute()
        if not path.is_file():
            raise NetworkError(f"no file {path}: give a Python file with the function {self.name}")
        file = UserFile(path)
        made = self._made(
            seed, file.module, lambda factory: file.run(factory, *self.args, **self.kwargs)
        )
        return made, _shape_of(file.get("INPUT_SHAPE"))

    def _made(self, seed: int, module: Any, call: Callable[[Any], Any]) -> Any:
        """Return the network that the factory in ``module`` builds, or the network found there."""
        factory = module
        for part in self.name.split("."):
            if not hasattr(factory, part):
                raise NetworkError(
                    f"{self.source} has no {self.name!r}{_near(part, factory)}: name a function or "
                    "class in it"
                )
            factory = getattr(factory, part)
        called = f"{self.name}({self._written()})"
        if isinstance(factory, nn.Module):  # a call would be a forward pass
            if self.args or self.kwargs:
                raise NetworkError(f"{self.name} is a network, not a factory: leave out (...)")
            return factory
        if not callable(factory):
            raise NetworkError(f"{self.name} is {type(factory).__name__}: name a function or class")
        try:
            signature = inspect.signature(factory)
        except (TypeError, ValueError):  # a C function may have no signature
            signature = None
        if signature is not None:
            try:
                signature.bind(*self.args, **self.kwargs)
            except TypeError as error:
                raise NetworkError(f"{called}: {error}; it takes {signature}") from error
        # Seed again: a first import may draw random numbers, while a repeated one does not.
        with seeded(seed):
            return call(factory)

    def _written(self) -> str:
        pairs = [f"{name}={short(value)}" for name, value in self.kwargs.items()]
        return ", ".join([*map(short, self.args), *pairs])


def _arguments(text: str, shown: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Parse the arguments in ``text``, which begins with a bracket."""
    try:
        call = ast.parse(f"_{text}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ConfigError(
                f"model {shown}: one pair of brackets holds the arguments, {_EXAMPLE}"
            )
        # literal_eval reads the syntax tree, so no code in the text is executed.
        args = tuple(ast.literal_eval(argument) for argument in call.args)
        kwargs = {str(pair.arg): ast.literal_eval(pair.value) for pair in call.keywords if pair.arg}
        if len(kwargs) < len(call.keywords):
            raise ValueError("** is not allowed")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ConfigError(
            f"model {shown}: arguments are numbers, quoted texts, True, False, None, and lists, "
            f"tuples and dictionaries of them, {_EXAMPLE}"
        ) from None
    return args, kwargs


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _near(name: str, owner: Any) -> str:
    close = get_close_matches(name, [known for known in dir(owner) if known[0] != "_"], n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


@contextmanager
def _here() -> Iterator[None]:
    """Allow imports from the current folder inside the block, with the lowest priority.

    Unlike ``python -m``, the console script does not search the current folder.
    """
    folder = str(Path.cwd())
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _own_dtype() -> Iterator[None]:
    """Restore torch's default dtype afterwards, because a factory may set it for its network."""
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# --- libraries ----------------------------------------------------------------------------------


def _library(name: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0]:
            raise NetworkError(f"{error.name} is not installed: pip install {install}") from error
        raise NetworkError(f"importing {name} failed: {with_type(error)}") from error


def _pytorchcv(name: str, *args: Any, **kwargs: Any) -> Any:
    provider = _library("pytorchcv.model_provider", "'pytorchcv<0.0.68'")  # newer: torchvision
    _keywords_only("pytorchcv", args)
    known = getattr(provider, "_models", {})
    if known and name.lower() not in known:
        close = get_close_matches(name, known, n=3)
        near = f"did you mean {' or '.join(close)}?" if close else "see its list of models"
        raise NetworkError(f"pytorchcv has no model {name!r}: {near}")
    return provider.get_model(name, **{"pretrained": False} | kwargs)


def _timm(name: str, *args: Any, **kwargs: Any) -> Any:
    timm = _library("timm", "timm")
    _keywords_only("timm", args)
    return timm.create_model(name, **{"pretrained": False} | kwargs)


def _transformers(name: str, *args: Any, **kwargs: Any) -> Any:
    """Return a network with random weights; only a name on the hub needs the internet."""
    library = _library("transformers", "transformers")
    _keywords_only("transformers", args)
    found: Any = getattr(library, name, None) if name.isidentifier() else None
    if found is None and name in library.CONFIG_MAPPING:
        found = library.CONFIG_MAPPING[name]
    kind: Any = found if isinstance(found, type) else object
    if issubclass(kind, library.PreTrainedModel):
        if not isinstance(kind.config_class, type):
            raise NetworkError(f"{name} is a base class: name one of its models")
        return kind(_config(kind.config_class, kwargs))
    if issubclass(kind, library.PretrainedConfig) and kind.model_type:
        return _of_config(library, _config(kind, kwargs))
    if found is not None:
        raise NetworkError(
            f"{name} is neither a model class nor a configuration class: write "
            "transformers:ViTForImageClassification or transformers:ViTConfig"
        )
    kept = Path(name).is_dir() or not _answers()
    try:
        config, unused = library.AutoConfig.from_pretrained(
            name,
            return_unused_kwargs=True,
            trust_remote_code=False,
            local_files_only=kept,  # otherwise it retries for half a minute without a connection
            **kwargs,
        )
    except Exception as error:  # from transformers, the hub, or the connection
        raise NetworkError(
            f"transformers has no class or model type {name!r}{_near(name, library)}, no folder "
            "of this name has a config.json, and no such configuration was downloaded or is on the "
            "hub, if that can be reached: connect to the internet, or write a configuration, such "
            "as transformers:ViTConfig(image_size=32)"
        ) from error
    _refuse_unknown(unused, type(config))
    return _of_config(library, config)


def _answers() -> bool:
    """Return whether the Hugging Face hub can be reached."""
    hub = importlib.import_module("huggingface_hub.constants")  # it comes with transformers
    if hub.HF_HUB_OFFLINE:
        return False
    try:
        urlopen(Request(hub.ENDPOINT, method="HEAD"), timeout=5).close()
    except HTTPError:
        return True  # an HTTP error is also an answer of the server
    except (OSError, ValueError):
        return False
    return True


def _config(kind: Any, kwargs: Mapping[str, Any]) -> Any:
    default = kind()
    # A configuration stores unknown settings as attributes, so a misspelled name would pass.
    _refuse_unknown([key for key in kwargs if not hasattr(default, key)], kind)
    return kind(**kwargs)


def _refuse_unknown(names: Sequence[str] | Mapping[str, Any], kind: type) -> None:
    for name in names:
        known = [key for key in vars(kind()) if key[0] != "_"]
        close = get_close_matches(name, known, n=3)
        near = f": did you mean {' or '.join(close)}?" if close else ""
        raise NetworkError(f"{kind.__name__} has no setting {name!r}{near}")


def _of_config(library: Any, config: Any) -> Any:
    for name in config.architectures or ():
        if hasattr(library, name):
            return getattr(library, name)(config)
    for task in ("IMAGE_CLASSIFICATION", "SEQUENCE_CLASSIFICATION"):
        if type(config) in getattr(library, f"MODEL_FOR_{task}_MAPPING"):
            camel = task.title().replace("_", "")
            return getattr(library, f"AutoModelFor{camel}").from_config(config)
    return library.AutoModel.from_config(config)


def _keywords_only(library: str, args: tuple[Any, ...]) -> None:
    if args:
        raise NetworkError(f"{library} takes arguments by name: write num_classes=10, not 10")


_LIBRARIES: dict[str, Callable[..., Any]] = {
    "pytorchcv": _pytorchcv,
    "timm": _timm,
    "transformers": _transformers,
}


# --- shapes -------------------------------------------------------------------------------------


def known_shape(model: nn.Module) -> tuple[int, ...] | None:
    """Return the shape (C, H, W) of one input if the network's library records it, else None.

    timm has ``input_size`` in ``pretrained_cfg``, transformers has ``image_size`` in ``config``,
    and pytorchcv has ``in_size`` without the channels.
    """
    settings = getattr(model, "pretrained_cfg", None)
    if isinstance(settings, Mapping) and "input_size" in settings:
        return _shape_of(settings["input_size"])
    if getattr(model, "main_input_name", None) == "pixel_values":
        config = getattr(model, "config", None)
        return _with_channels(
            getattr(config, "num_channels", None), getattr(config, "image_size", None)
        )
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return _with_channels(first and first.in_channels, getattr(model, "in_size", None))


def _with_channels(channels: Any, size: Any) -> tuple[int, ...] | None:
    sides = (size, size) if isinstance(size, int) else size
    if not isinstance(sides, Sequence) or len(sides) != 2:
        return None
    return _shape_of((channels, *sides))


def _shape_of(shape: Any) -> tuple[int, ...] | None:
    """Return ``shape`` as a tuple if it is a sequence of positive integers, else None."""
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not shape:
        return None
    whole = all(isinstance(side, int) and side > 0 for side in shape)
    return tuple(shape) if whole else None
