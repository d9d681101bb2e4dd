"""The same mathematics with less memory traffic: what training spends its time on, on a frozen bf16 base.

PEFT's LoRA layer converts its input to fp32 and keeps several copies of it for the backward pass; RMSNorm and SwiGLU keep
fp32 intermediates. The three functions below keep bf16 inputs only and recompute the rest. They replace the layers'
`forward` where nothing else is going on (no dropout, no bias in the adapter, plain LoRA); any other layer stays as it is.
"""

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch.nn import functional


def speed_up(model: Any) -> int:
    """Replaces the forward passes of a PEFT model in place; returns how many layers were replaced."""
    replaced = 0
    for module in model.modules():
        if type(module) is Linear and _is_plain(module):
            module.forward = _lora_forward(module)
        elif type(module).__name__.endswith("RMSNorm") and _is_norm(module):
            module.forward = _norm_forward(module)
        elif hasattr(module, "gate_proj") and hasattr(module, "up_proj") and _is_silu(getattr(module, "act_fn", None)):
            module.forward = _mlp_forward(module)
        else:
            continue
        replaced += 1
    return replaced


def _is_plain(layer: Any) -> bool:
    active = layer.active_adapters
    return (
        len(active) == 1
        and type(layer.base_layer) is torch.nn.Linear
        and not layer.base_layer.weight.requires_grad
        and isinstance(layer.lora_dropout[active[0]], torch.nn.Identity)
        and not layer.use_dora.get(active[0], False)
        and layer.lora_B[active[0]].bias is None
    )


def _is_norm(module: Any) -> bool:
    """Llama's norm: `weight * x / rms(x)`. Gemma's, which adds one to the weight, is another."""
    return hasattr(module, "variance_epsilon") and "Gemma" not in type(module).__name__


def _is_silu(activation: Any) -> bool:
    return type(activation).__name__ in ("SiLU", "SiLUActivation")


def _lora_forward(layer: Any) -> Any:
    name = layer.active_adapters[0]
    base, a, b, scale = layer.base_layer, layer.lora_A[name], layer.lora_B[name], layer.scaling[name]

    def forward(x: Any, *_: Any, **__: Any) -> Any:
        if layer.disable_adapters or layer.merged:
            return base(x)
        return _Lora.apply(x, base.weight, base.bias, a.weight, b.weight, scale)

    return forward


def _norm_forward(module: Any) -> Any:
    return lambda x: _Norm.apply(x, module.weight, module.variance_epsilon)


def _mlp_forward(module: Any) -> Any:
    return lambda x: module.down_proj(_SwiGLU.apply(module.gate_proj(x), module.up_proj(x)))


class _Lora(torch.autograd.Function):
    """x W' + bias + scale (x A') B' for a frozen W (out, in), A (r, in), B (out, r)."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        a16, b16 = a.to(x.dtype), (b * scale).to(x.dtype)
        low = flat @ a16.t()
        y = torch.addmm(functional.linear(flat, w, bias), low, b16.t())
        ctx.save_for_backward(flat, low, w, a16, b16)
        ctx.scale, ctx.shape = scale, x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        flat, low, w, a16, b16 = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_low = grad @ b16
        grad_b = (grad.t() @ low).float() * ctx.scale
        grad_a = (grad_low.t() @ flat).float()
        grad_x = torch.addmm(grad @ w, grad_low, a16).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return grad_x, None, None, grad_a, grad_b, None


class _Norm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + eps) for a frozen weight; the mean in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, eps: float) -> Any:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, scale)
        return weight * (wide * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, weight, scale = ctx.saved_tensors
        unit = x.float() * scale
        wide = (grad * weight).float()
        return (scale * (wide - unit * (wide * unit).mean(-1, keepdim=True))).to(x.dtype), None, None


class _SwiGLU(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: Any, up: Any) -> Any:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        return grad * up * (sigmoid + silu * (1 - sigmoid)), grad * silu


def head_loss(hidden: Any, weight: Any, targets: Any) -> Any:
    """The summed cross-entropy of `targets` (N,) under a frozen head `weight` (V, H) on hidden states (N, H).

    Logits exist for HEAD_ROWS positions at a time, and their gradient is computed with them, so that N x V numbers never are.
    """
    return _HeadLoss.apply(hidden, weight, targets)


HEAD_ROWS = 512


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, targets: Any) -> Any:
        wanted = ctx.needs_input_grad[0]
        grads, loss = [], hidden.new_zeros((), dtype=torch.float32)
        for rows, goals in zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True):
            logits = (rows @ weight.t()).float()
            logits -= logits.max(-1, keepdim=True).values
            picked = logits.gather(1, goals[:, None]).sum()
            total = logits.exp_().sum(-1, keepdim=True)
            loss += total.log().sum() - picked
            if wanted:
                logits /= total
                logits.scatter_add_(1, goals[:, None], logits.new_full((len(goals), 1), -1.0))
                grads.append(logits.to(weight.dtype) @ weight)
        ctx.save_for_backward(torch.cat(grads) if wanted else hidden.new_zeros(0))
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (found,) = ctx.saved_tensors
        return found * grad.to(found.dtype), None, None
