"""The estimator's training: what is known of a scan, the losses of the stages, and the calibration of its intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.body import open_body
from models.networks import build
from models.networks.blocks import VIEWS
from models.training.bodyfat import (
    BodyFatLoss,
    Labels,
    ScanBatches,
    ShapeLoss,
    ShapeScale,
    calibrate,
    known_facts,
    predict,
    set_scales,
)
from models.training.people import bodies_of, draw_people
from models.training.scans import MEASURED, Store, silhouettes_of, write_store

COUNT = 6
TINY = {"components": 8, "features": 16, "hidden": 8}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    people, betas = bodies_of(draw_people(COUNT + 2, 4, open_body()), open_body(), 4)

    def maker(number: int):
        rng = np.random.default_rng(number)
        return silhouettes_of(betas[number], rng, sex=people["sex"][number], age=people["age"][number])

    folder = tmp_path_factory.mktemp("silhouettes")
    list(write_store(folder, COUNT, maker, about={}, workers=1))
    return Store(folder)


@pytest.fixture
def labels(store: Store) -> Labels:
    stature = store.numbers["measured"][:, MEASURED.index("stature_cm")] / 100
    profile = np.column_stack([np.arange(COUNT) % 2, np.linspace(20, 70, COUNT), stature, np.linspace(50, 100, COUNT)])
    return Labels(profile.astype(np.float32), np.array([20, 25, 30, np.nan, 35, np.nan], np.float32))


@pytest.fixture
def network(labels: Labels) -> torch.nn.Module:
    torch.manual_seed(0)
    made = build("body-fat-1", TINY)
    set_scales(made, labels)
    return made


def test_facts_are_known_as_often_as_they_should_be() -> None:
    known = known_facts(20_000, np.random.default_rng(1))
    assert known.all(1).mean() == pytest.approx(0.5 + 0.25 / 16, abs=0.015)
    assert (~known).all(1).mean() == pytest.approx(0.05 + 0.25 / 16, abs=0.01)
    alone = known[:, 2] & ~known[:, [0, 1, 3]].any(1)
    assert alone.mean() == pytest.approx(0.2 + 0.25 / 16, abs=0.015)


def test_whole_scans_come_beside_those_with_something_left_out(store: Store, labels: Labels) -> None:
    batch = ScanBatches(store, labels, twice=True)(np.arange(COUNT), np.random.default_rng(2))
    assert batch["whole_present"].all()
    assert not batch["present"].all()
    assert batch["whole_profile"].isfinite().all()
    assert batch["profile"].isnan().any()
    assert batch["bfp"].isnan().tolist() == [False, False, False, True, False, True]
    as_they_are = ScanBatches(store, labels, change=False)(np.arange(COUNT), np.random.default_rng(2))
    assert np.array_equal(as_they_are["profile"].numpy(), labels.profile)
    assert (batch["whole_profile"][:, 1:] != as_they_are["profile"][:, 1:]).all()  # as people say and scales read


def test_who_has_no_label_teaches_nothing_about_body_fat(store: Store, labels: Labels, network) -> None:
    scale = ShapeScale.of(store)
    batch = ScanBatches(store, labels, change=False)(np.arange(COUNT), np.random.default_rng(3))
    loss = BodyFatLoss(scale, shape=0.0)
    value, told = loss(network, batch)
    assert torch.isfinite(value)
    some = [row for row in range(COUNT) if np.isfinite(labels.bfp[row])]
    only = {name: tensor[some] for name, tensor in batch.items()}
    assert float(loss(network, only)[0].detach()) == pytest.approx(float(value.detach()), rel=1e-5)
    assert told["mae"] > 0
    none = {name: tensor[[3, 5]] for name, tensor in batch.items()}
    value, _ = loss(network, none)
    value.backward()
    assert all(p.grad is None or not p.grad.any() for p in network.head.parameters())


def test_a_teacher_is_followed_where_there_is_no_label(store: Store, labels: Labels, network) -> None:
    batch = ScanBatches(store, labels, twice=True)(np.array([3, 5]), np.random.default_rng(3))
    loss = BodyFatLoss(ShapeScale.of(store), shape=0.0)
    torch.manual_seed(1)
    teacher = build("body-fat-1", TINY)
    set_scales(teacher, labels)
    loss.follow(teacher)
    value, told = loss(network, batch)
    assert told["from_teacher"] > 0
    value.backward()
    assert any(p.grad is not None and p.grad.any() for p in network.head.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_shapes_are_learnt_in_units_of_their_spread(store: Store, labels: Labels, network) -> None:
    scale = ShapeScale.of(store)
    standard = scale.standard(torch.from_numpy(store.numbers["measured"]))
    assert standard.mean(0).abs().max() < 1e-4
    assert standard.std(0).sub(1).abs().max() < 1e-4
    batch = ScanBatches(store, labels, change=False)(np.arange(COUNT), np.random.default_rng(0))
    value, _ = ShapeLoss(scale)(network, batch)
    assert torch.isfinite(value)


def test_predictions_without_some_views_and_facts(store: Store, labels: Labels, network) -> None:
    numbers = np.array([4, 1])
    whole, sd = predict(network, store, labels, numbers, size=1)
    together, _ = predict(network, store, labels, numbers)
    assert whole == pytest.approx(together, abs=1e-4)
    assert (sd > 0).all()
    bare = Labels(np.full_like(labels.profile, np.nan), labels.bfp)
    assert np.array_equal(
        predict(network, store, labels, numbers, facts=(False,) * 4)[0], predict(network, store, bare, numbers)[0]
    )
    front, _ = predict(network, store, labels, numbers, views=("front",))
    assert (front != together).all()
    assert np.array_equal(predict(network, store, labels, numbers, views=VIEWS)[0], together)


@pytest.mark.parametrize("stretch", [0.5, 2.0])
def test_calibrated_intervals_hold_what_they_say(network, stretch: float) -> None:
    rng = np.random.default_rng(5)
    sd, mean = rng.uniform(2, 4, 4000), rng.normal(30, 8, 4000)
    truth = rng.normal(mean, stretch * sd)
    fit = calibrate(network, truth, mean, sd)
    assert fit.factor == pytest.approx(stretch, rel=0.05)
    assert float(network.sd_scale) == pytest.approx(fit.factor)
    assert (fit.intercept, fit.slope) == (pytest.approx(0, abs=1.5), pytest.approx(1, abs=0.05))
    inside = np.abs(truth - fit.intercept - fit.slope * mean) <= 1.6449 * fit.factor * fit.slope * sd
    assert inside.mean() == pytest.approx(0.9, abs=0.003)


def test_a_calibrated_network_is_on_the_line(store: Store, labels: Labels, network) -> None:
    """What the network then says is what the line makes of what it said; an SD stays in proportion."""
    numbers = np.arange(len(store))
    mean, sd = predict(network, store, labels, numbers)
    truth = 3 + 1.5 * mean
    truth[0] += 1e-3 * np.ptp(mean)  # or the SDs would be scaled to nothing
    fit = calibrate(network, truth, mean, sd)
    assert fit.slope == pytest.approx(1.5, abs=0.05)
    after, wide = predict(network, store, labels, numbers)
    assert after == pytest.approx(fit.intercept + fit.slope * mean, abs=1e-3)
    assert wide == pytest.approx(fit.slope * fit.factor * sd, rel=1e-3)


def test_a_resumed_estimator_keeps_its_teacher(store: Store, labels: Labels, tmp_path: Path) -> None:
    """Stage 3 broken off and taken up again gives the same network as undisturbed."""
    from models.training.loop import Schedule, train

    def trained(folder: Path, *, broken: bool) -> torch.nn.Module:
        torch.manual_seed(0)
        network = build("body-fat-1", TINY).train()
        set_scales(network, labels)
        loss = BodyFatLoss(ShapeScale.of(store))
        calls = 0

        def counted(forward, given):
            nonlocal calls
            calls += 1
            if broken and calls == 5:
                raise KeyboardInterrupt
            return loss(forward, given)

        return train(
            network, np.arange(COUNT), ScanBatches(store, labels, twice=True), counted, Schedule(4, 3, 1e-3), folder,
            seed=1, save_seconds=0, teacher=loss.follow,
        )  # fmt: skip

    expected = trained(tmp_path / "a", broken=False)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b", broken=True)
    found = trained(tmp_path / "b", broken=False)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, found.state_dict()[name]), name
