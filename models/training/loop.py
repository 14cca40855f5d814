"""The loop that all trainings share: seeded, resumable to the step, with curves on disk.

What a step sees depends on the seed and the step alone, never on where the training was broken off.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Batch = Callable[[np.ndarray, np.random.Generator], Mapping[str, Tensor]]
Network = Callable[..., Any]
Loss = Callable[[Network, Mapping[str, Tensor]], tuple[Tensor, dict[str, float]]]
Validate = Callable[[nn.Module], dict[str, float]]
Tell = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """AdamW (Loshchilov and Hutter 2019) with a short warm-up and a cosine to zero. An average of the weights over
    about the last `1 / (1 - average)` steps is what is kept (Polyak and Juditsky 1992)."""

    epochs: int
    batch: int
    rate: float
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    average: float = 0.998
    clip: float = 1.0
    slow: Mapping[str, float] = field(default_factory=dict)
    """Beginning of a weight's name -> the share of the rate at which it learns."""
    half: bool = False
    """Whether the network computes in bfloat16 (twice as fast on processors and GPUs that have it); the weights, their
    averages and the loss stay in single precision."""


def train(
    network: nn.Module,
    samples: np.ndarray,
    batch: Batch,
    loss: Loss,
    schedule: Schedule,
    folder: Path,
    *,
    seed: int,
    device: str = "cpu",
    validate: Validate | None = None,
    save_seconds: float = 120.0,
    tell: Tell | None = None,
    teacher: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Train `network` on the numbered `samples` (n,) and return the average of its weights, in evaluation mode.

    batch(numbers, rng) makes the tensors of a step; loss gives what is minimised and figures to log. Folder keeps the
    state (state.pt) and the curve (curve.jsonl, one line an epoch); if it holds the state of the same training, that
    goes on. teacher is told the average of the weights, which follows the network, before the first step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps_an_epoch = max(1, len(samples) // schedule.batch)
    total = schedule.epochs * steps_an_epoch
    network = network.to(device, memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.average), use_buffers=True
    )
    optimiser = torch.optim.AdamW(_groups(network, schedule), weight_decay=schedule.weight_decay)
    step, figures = _resume(folder, network, average, optimiser, device)
    if teacher is not None:
        teacher(average.module)
    saved = started = time.monotonic()
    network.train()
    forward = _forward(network, device, schedule.half)
    for given in _batches(samples, batch, schedule.batch, range(step, total), steps_an_epoch, seed):
        epoch = step // steps_an_epoch
        torch.manual_seed(int(np.random.default_rng([seed, 3, step]).integers(2**62)))  # dropout
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * _rate(step, total, schedule)
        value, told = loss(forward, {name: value.to(device) for name, value in given.items()})
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
        optimiser.step()
        average.update_parameters(network)
        step += 1
        figures.append(told | {"loss": float(value.detach())})
        if not math.isfinite(figures[-1]["loss"]):
            raise FloatingPointError(f"The loss is {figures[-1]['loss']} at step {step}; lower the rate.")
        ended = step % steps_an_epoch == 0
        if ended:
            line = {name: float(np.mean([figure[name] for figure in figures])) for name in figures[0]}
            if validate is not None:
                line |= validate(average.module.eval())
            line |= {"epoch": epoch + 1, "step": step, "seconds": round(time.monotonic() - started, 1)}
            with (folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(line) + "\n")
            if tell is not None:
                tell(step, total, line)
            figures = []
        if time.monotonic() - saved > save_seconds or step == total:
            _save(folder, step, figures, network, average, optimiser, ended=step == total)
            saved = time.monotonic()
    return average.module.eval()


def _groups(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    parts: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        shares = [share for beginning, share in schedule.slow.items() if name.startswith(beginning)]
        parts.setdefault(min(shares, default=1.0), []).append(parameter)
    return [{"params": found, "lr": schedule.rate, "share": share} for share, found in parts.items()]


def _forward(network: nn.Module, device: str, half: bool) -> Network:
    """The network as the loss sees it: its output, a tensor or a named tuple of them, is in single precision."""

    def forward(*inputs: Tensor) -> Any:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            seen = network(*inputs)
        return seen.float() if isinstance(seen, Tensor) else type(seen)(*(part.float() for part in seen))

    return forward


def _batches(
    samples: np.ndarray, batch: Batch, size: int, steps: range, steps_an_epoch: int, seed: int
) -> Iterator[Mapping[str, Tensor]]:
    """The batches of the steps, each made while the one before it is learnt from."""

    def made(step: int) -> Mapping[str, Tensor]:
        epoch, position = divmod(step, steps_an_epoch)
        order = np.random.default_rng([seed, 1, epoch]).permutation(samples)
        return batch(order[position * size : (position + 1) * size], np.random.default_rng([seed, 2, step]))

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(made, steps[0]) if steps else None
        for step in steps:
            given = coming.result()
            coming = ahead.submit(made, step + 1) if step + 1 in steps else None
            yield given


def _rate(step: int, total: int, schedule: Schedule) -> float:
    warm = max(1, round(schedule.warm_up * total))
    if step < warm:
        return schedule.rate * (step + 1) / warm
    return schedule.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def learnt(folder: Path, network: nn.Module) -> nn.Module | None:
    """The network as a training that has ended in this folder left it, or None where none has."""
    path = folder / "state.pt"
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not state["ended"]:
        return None
    average = torch.optim.swa_utils.AveragedModel(network)
    average.load_state_dict(state["average"])
    return average.module.eval()


def _save(
    folder: Path,
    step: int,
    figures: list[dict[str, float]],
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    ended: bool,
) -> None:
    state = {
        "step": step, "ended": ended, "figures": figures, "network": network.state_dict(),
        "average": average.state_dict(), "optimiser": optimiser.state_dict(),
    }  # fmt: skip
    partial = folder / ".state.pt.partial"
    torch.save(state, partial)
    os.replace(partial, folder / "state.pt")


def _resume(
    folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, device: str
) -> tuple[int, list[dict[str, float]]]:
    """The step at which to go on, and the figures of the steps of its epoch that are done."""
    path = folder / "state.pt"
    if not path.exists():
        (folder / "curve.jsonl").unlink(missing_ok=True)
        return 0, []
    state = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    step = int(state["step"])
    curve = folder / "curve.jsonl"
    if curve.exists():  # epochs after the saved state are done once more
        lines = curve.read_text(encoding="utf-8").splitlines(keepends=True)
        curve.write_text("".join(line for line in lines if json.loads(line)["step"] <= step), encoding="utf-8")
    return step, state.get("figures", [])
