"""The training loop: broken off and gone on with, it is the same training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.training.loop import Schedule, train

X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + 1).astype(np.float32)
SCHEDULE = Schedule(epochs=6, batch=16, rate=0.05, average=0.8)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))


def batch(numbers: np.ndarray, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    noise = rng.normal(0, 0.01, (len(numbers), 5)).astype(np.float32)
    return {"x": torch.from_numpy(X[numbers] + noise), "y": torch.from_numpy(Y[numbers])}


def loss(module: nn.Module, given) -> tuple[torch.Tensor, dict[str, float]]:
    value = (module(given["x"])[:, 0] - given["y"]).square().mean()
    return value, {"squared": float(value.detach())}


class Stop(Exception):
    pass


def run(folder: Path, stop_after: int | None = None) -> nn.Module:
    """Breaks off in the step after `stop_after`."""
    steps = 0

    def counted(module: nn.Module, given) -> tuple[torch.Tensor, dict[str, float]]:
        nonlocal steps
        steps += 1
        if stop_after is not None and steps > stop_after:
            raise Stop
        return loss(module, given)

    return train(network(), np.arange(64), batch, counted, SCHEDULE, folder, seed=3, save_seconds=0)


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in module.state_dict().values()])


def curve(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.parametrize("stop_after", [0, 4, 10, 15, 23])  # of 24 steps, four an epoch
def test_resumed_training_is_the_undisturbed_one(tmp_path: Path, stop_after: int) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "broken", stop_after)
    assert torch.equal(weights(run(tmp_path / "broken")), weights(whole))
    assert curve(tmp_path / "broken") == curve(tmp_path / "whole")


def test_it_learns(tmp_path: Path) -> None:
    run(tmp_path)
    losses = [line["loss"] for line in curve(tmp_path)]
    assert [line["epoch"] for line in curve(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert losses[-1] < losses[0] / 4


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    def lost(module: nn.Module, given) -> tuple[torch.Tensor, dict[str, float]]:
        value, told = loss(module, given)
        return value * float("nan"), told

    with pytest.raises(FloatingPointError, match="step 1"):
        train(network(), np.arange(64), batch, lost, SCHEDULE, tmp_path, seed=3)
