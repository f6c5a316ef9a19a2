"""Twenty small networks of pytorchcv and transformers, built without GreenMachine.

Texts as ``greenmachine score --model`` takes them, and the same networks by the libraries' own
calls. The process that tests exported files imports this file where GreenMachine is missing.
"""

from __future__ import annotations

import ast
from typing import Any

import torch

SHAPE = (4, 3, 32, 32)
SEED = 3

PYTORCHCV = tuple(
    f"{name}20_{images}" for name in ("resnet", "preresnet") for images in ("cifar10", "cifar100")
)
_ATTENTION = (
    "image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, "
    "intermediate_size=64"
)
TRANSFORMERS = (
    f"ViTForImageClassification({_ATTENTION})",
    f"DeiTForImageClassification({_ATTENTION})",
    "ResNetForImageClassification(embedding_size=8, hidden_sizes=[16, 32], depths=[2, 2], "
    "layer_type='basic')",
    "ResNetForImageClassification(embedding_size=8, hidden_sizes=[32, 64], depths=[1, 2])",
    "ConvNextForImageClassification(patch_size=2, hidden_sizes=[16, 32], depths=[1, 2], "
    "num_stages=2)",
    "ConvNextV2ForImageClassification(patch_size=2, hidden_sizes=[16, 32], depths=[1, 2], "
    "num_stages=2)",
    "RegNetForImageClassification(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], "
    "groups_width=8)",
    "RegNetForImageClassification(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], "
    "groups_width=8, layer_type='x')",
    "ResNetForImageClassification(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], "
    "layer_type='basic', hidden_act='gelu')",
    "MobileNetV1ForImageClassification(depth_multiplier=0.25)",
    "MobileNetV2ForImageClassification(depth_multiplier=0.35)",
    "BitForImageClassification(embedding_size=32, hidden_sizes=[32, 64], depths=[1, 1], "
    "num_groups=8)",
    f"BeitForImageClassification({_ATTENTION})",
    f"ViTMSNForImageClassification({_ATTENTION})",
    "Dinov2ForImageClassification(image_size=32, patch_size=8, hidden_size=32, mlp_ratio=2, "
    "num_hidden_layers=2, num_attention_heads=2)",
    "PoolFormerForImageClassification(depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32])",
)
TEXTS = (
    *(f"pytorchcv:{name}" for name in PYTORCHCV),
    *(f"transformers:{name}" for name in TRANSFORMERS),
)


def build(text: str) -> Any:
    """The network of a text, by the calls that the library documents."""
    torch.manual_seed(SEED)
    library, _, rest = text.partition(":")
    if library == "pytorchcv":
        from pytorchcv.model_provider import get_model

        return get_model(rest, pretrained=False)
    import transformers

    call = ast.parse(rest, mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    model = getattr(transformers, call.func.id)
    settings = {pair.arg: ast.literal_eval(pair.value) for pair in call.keywords if pair.arg}
    return model(model.config_class(**settings))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels."""
    generator = torch.Generator("cpu").manual_seed(SEED)
    return torch.randn(SHAPE, generator=generator), torch.arange(SHAPE[0]) % 2
