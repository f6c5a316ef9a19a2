"""digits_tss: a zero-cost proxy exported by GreenMachine. A low score is good.

mul(dot(neg(sum_matrices(minimum(batch_gram(data_norm_output), minimum(batch_gram(noise_input),
sign_agreement(noise_norm_output))))), signed_sqrt(sigmoid(sum_matrices(batch_correlation(
noise_norm_output))))), mean_layers(min_eigenvalue(filter_correlation(signed_log1p(
noise_weight_grad)))))
"""

import copy
import random
import sys
import warnings
from contextlib import ExitStack
from threading import RLock, get_ident

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

DIRECTION = -1
SHAPE = (8, 3, 12, 12)


def correlation_of_rows(rows):
    mean = rows.mean(dim=-1, keepdim=True)
    rows_2 = rows - mean
    products = (rows_2 @ rows_2.mT).div_(rows_2.shape[-1])
    std = products.diagonal(dim1=-2, dim2=-1).sqrt()
    x = torch.where(std <= 1e-06 * mean.squeeze(-1).abs(), 0.0, std)
    scale = torch.where(x == 0, 0.0, 1 / x)
    return products * scale.unsqueeze(-1) * scale.unsqueeze(-2)


def formula(layers):
    each = []
    for data, noise in layers:
        data_norm_output = signal(data, "norm_output")
        noise_input = signal(noise, "input")
        noise_norm_output = signal(noise, "norm_output")
        noise_weight_grad = signal(noise, "weight_grad")
        rows = data_norm_output.permute(0, 1, 3, 4, 2).flatten(2)
        rows_2 = noise_input.permute(0, 1, 3, 4, 2).flatten(2)
        x = noise_norm_output.permute(0, 1, 3, 4, 2).flatten(2)
        signs = torch.sign(x).relu_().add_(x, alpha=0.0).mul_(2).sub_(1)
        part = (rows_2 @ rows_2.mT).div_(rows_2.shape[-1])
        a = torch.minimum(part, (signs.shape[-1] + signs @ signs.mT) / 2)
        b = noise_weight_grad.abs().log1p_().mul_(torch.sign(noise_weight_grad))
        exact = correlation_of_rows(b.flatten(2)).double()
        exact_2 = (exact + exact.mT) / 2
        failed = ~torch.isfinite(exact_2).flatten(-2).all(dim=-1)
        values = torch.linalg.eigvalsh(exact_2.masked_fill(failed[..., None, None], 0.0))
        sizes = values.abs()
        values_2 = values.masked_fill(sizes < 1e-06 * sizes.amax(dim=-1, keepdim=True), 0.0)
        part_2 = correlation_of_rows(noise_norm_output.permute(0, 1, 3, 4, 2).flatten(2))
        part_3 = torch.minimum((rows @ rows.mT).div_(rows.shape[-1]), a)
        part_4 = values_2.masked_fill(failed[..., None], float("nan"))
        each.append((part_3, part_2, part_4[..., 0]))
    v, v_2, v_3 = (torch.cat(v).cpu().double()[None] for v in zip(*each, strict=True))
    c = v.sum(dim=1)
    d = v_2.sum(dim=1)
    x_2 = torch.sigmoid(d).add_(d, alpha=0.0)
    x_3 = -c
    part_2 = x_3 * x_2.abs().sqrt_().mul_(torch.sign(x_2))
    e = part_2.sum(dim=tuple(range(1, x_3.ndim)))
    return float(e * v_3.mean(dim=-1))


def signal(layer, name):  # weights as (1, O, I, kh, kw), maps as (1, B, C, H, W)
    module, x = layer["module"], layer[name.removesuffix("_grad")]
    x = x if name in layer else torch.zeros_like(x) if x.grad is None else x.grad
    x = (x.float() if x.dtype in (torch.half, torch.bfloat16) else x).detach()
    if name.startswith("weight"):
        if getattr(module, "transposed", False):
            x = x.reshape(module.groups, -1, *x.shape[1:]).transpose(1, 2).flatten(0, 1)
        return x.reshape(1, *x.shape[:2], -1, x.shape[-1] if x.dim() > 3 else 1).contiguous()
    x = x if isinstance(module, nn.Linear) else x.movedim(1, -1)
    width = x.shape[-2] if x.dim() > 3 and not isinstance(module, nn.Linear) else 1
    return x.contiguous().reshape(1, len(x), -1, width, x.shape[-1]).permute(0, 1, 4, 2, 3)


class Norms(TorchFunctionMode):  # finds the normalisation behind each layer
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        given = args[0] if args else kwargs.get("input")
        returned = func(*args, **kwargs)
        if name in ("batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"):
            for layer in [layer for layer in self.fired if layer["handed"] is given]:
                layer["norm_output"] = returned.clone()
        return returned


def picked(returned, output):  # the output among what a network returned
    parts = dict(enumerate(returned)) if isinstance(returned, (list, tuple)) else returned
    parts = parts if isinstance(parts, dict) else getattr(parts, "__dict__", {})
    tensors = [x for x in (returned, *parts.values()) if isinstance(x, torch.Tensor)]
    only = parts.get("logits", tensors[0] if len(tensors) == 1 else None)
    only = getattr(returned, "logits", only) if output is None else parts.get(output)
    found = output(returned) if callable(output) else only
    if not isinstance(found, torch.Tensor):
        raise ValueError("say which part of what the network returns counts: output=0")
    return found


def score(model, images=None, labels=None, *, shape=None, seed=0, output=None):
    """Return the score of labelled images; output picks one of several outputs."""
    shape = tuple(shape or SHAPE) if images is None else tuple(torch.as_tensor(images).shape)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    lock = vars(torch.random).setdefault("_untrained_network_lock", RLock())
    with lock, torch.inference_mode(False), torch.device("cpu"), ExitStack() as stack:
        stack.enter_context(torch.autocast(like.device.type, enabled=False))
        stack.enter_context(torch.random.fork_rng([like.device] if like.is_cuda else []))
        stack.callback(random.setstate, random.getstate())
        if numpy := sys.modules.get("numpy"):  # who has not imported it does not draw from it
            stack.callback(numpy.random.set_state, numpy.random.get_state())
        stack.enter_context(nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH))
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        backends = (torch.backends.mkldnn, torch.backends.cudnn, torch.backends.cuda)
        for part in [getattr(b, n, None) for b in backends for n in ("conv", "matmul", "rnn")]:
            if hasattr(part, "fp32_precision"):
                stack.callback(setattr, part, "fp32_precision", part.fp32_precision)
                part.fp32_precision = "ieee"
        if images is None or labels is None:
            raise ValueError("give a labelled mini-batch: images and labels")
        batch, labels = torch.as_tensor(images).clone(), torch.as_tensor(labels)
        embeds = any(isinstance(module, nn.Embedding) for module in model.modules())
        ids = embeds and batch.dim() == 2 and not batch.is_floating_point()
        batch, classes = batch.to(like.device if ids else like), labels.to(like.device).long()
        one_each = labels.shape == batch.shape[:1] and torch.equal(classes.to(labels), labels)
        if not (one_each and classes.min() >= 0 and batch.isfinite().all()):
            raise ValueError("give finite images, and the class index of each as labels")
        sent, layers = {}, {}
        sent["data"] = batch
        sent["noise"] = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(like)
        for name, images in sent.items():
            kept = [value for module in model.modules() for value in vars(module).values()]
            memo = {id(t): t.detach().clone() for t in kept if isinstance(t, torch.Tensor)}
            net = copy.deepcopy(getattr(model, "_orig_mod", model), memo).train()
            fired, weights, thread = [], {}, get_ident()
            places = {module: place for place, module in enumerate(net.modules())}

            def hook(module, args, kwargs, returned):
                weight, same = module.weight, weights.setdefault(module, module.weight)
                if weight is not same or get_ident() != thread or not returned.requires_grad:
                    raise ValueError(f"{type(module).__name__}: use the exact export for it")
                given = args[0] if args else next(iter(kwargs.values()))
                if len(given) != len(images) or given.dim() < weight.dim():
                    raise ValueError(f"a layer got {tuple(given.shape)}: the images come first")
                handed = returned.clone()  # for what works in place
                weight.retain_grad()  # it may be computed from other parameters
                layer = {"module": module, "place": places[module], "given": given.shape}
                layer |= {"weight": weight, "input": given, "output": returned}
                fired.append(layer | {"norm_output": returned, "handed": handed})
                return handed

            for m in net.modules():  # a function in the place of forward may hide layers
                if type(vars(m).get("forward")) is type(hook) or ".quantized" in str(type(m)):
                    raise ValueError(f"{type(m).__name__}: use the exact export for it")
                if isinstance(m, (nn.modules.conv._ConvNd, nn.Linear)):
                    m.register_forward_hook(hook, with_kwargs=True)
            layouts = {True: torch.channels_last, False: torch.contiguous_format}
            for p in net.parameters():
                p.data = p.data.contiguous(memory_format=layouts[p.dim() == 4])
                p.requires_grad_(p.is_floating_point())
            torch.manual_seed(seed)
            random.seed(seed)
            if numpy:
                numpy.random.seed(seed % 2**32)
            with nn.utils.parametrize.cached(), Norms() as watch:
                watch.fired = fired
                returned = net(images.clone(memory_format=layouts[images.dim() == 4]))
                if any(len(images) in layer["given"][1:-1] for layer in fired):
                    count, images = len(fired), torch.cat([images, images[:1]]).detach()
                    net(images)  # one image more tells which side is theirs
                    images, fired[count:] = images[:-1], []
                layers[name] = list(fired)  # checkpoints fire again
                found = picked(returned, output)
                loss = functional.cross_entropy(found, classes) if name == "data" else found.sum()
                torch.autograd.backward(loss)
            seen = {id(p) for layer in fired for p in layer["module"].parameters()}
            others = [(n, p) for n, p in net.named_parameters() if id(p) not in seen]
            if left := [n for n, p in others if p.squeeze().dim() > 1]:
                warnings.warn(f"the score leaves out {left[0]}, {len(left)} in all", stacklevel=2)
        if len({tuple(layer["place"] for layer in fired) for fired in layers.values()}) > 1:
            raise ValueError("the layers that fire differ from pass to pass")
        value = formula(list(zip(*layers.values(), strict=True)))
    return value if all(p.detach().isfinite().all() for p in model.parameters()) else float("nan")
