"""What the networks are shown: stores of rendered scans, batches, and the measures of their errors."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from models.body import open_body
from models.inference.images import INSIDE, encode_silhouette
from models.networks import build
from models.networks.blocks import VIEWS
from models.networks.mirror import IN_A_MIRROR, mirrored_pose, mirrored_scan
from models.render.capture import FAULTS
from models.training.augment import roughen
from models.training.avatar import (
    AvatarLoss,
    QuadraticTape,
    ShapeMetric,
    SilhouetteBatches,
    begin,
    evaluate,
    silhouettes_in,
)
from models.training.people import bodies_of, draw_people
from models.training.scans import MEASURED, Scan, Store, photos_of, silhouettes_of, write_scans, write_store
from models.training.segmenter import PhotoBatches, overlaps, segmenter_loss

COUNT = 6


@pytest.fixture(scope="module")
def people():
    table, betas = bodies_of(draw_people(COUNT + 2, 4, open_body()), open_body(), 4)
    return table[:COUNT], betas[:COUNT]


def silhouette_scan(people, number: int):
    table, betas = people
    rng = np.random.default_rng([9, number])
    return silhouettes_of(betas[number], rng, sex=table["sex"][number], age=table["age"][number])


def photo_scan(people, number: int):
    table, betas = people
    fault = [None, None, None, "no_person", "two_persons", "wrong_view"][number]
    rng = np.random.default_rng([10, number])
    return photos_of(betas[number], rng, sex=table["sex"][number], age=table["age"][number], fault=fault)


@pytest.fixture(scope="module")
def silhouettes(people, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("silhouettes")
    assert list(write_store(folder, COUNT, partial(silhouette_scan, people), about={}, workers=1)) == [0, COUNT]
    return Store(folder)


def test_what_the_segmenter_saw_is_not_roughened_again(silhouettes: Store, tmp_path: Path) -> None:
    numbers = [{name: values[n] for name, values in silhouettes.numbers.items()} for n in range(COUNT)]
    pictures = [
        {view: encode_silhouette(silhouettes.picture(n, v)) for v, view in enumerate(VIEWS)} for n in range(COUNT)
    ]
    for name in ("true", "seen"):
        (tmp_path / name).mkdir()
        write_scans(tmp_path / name / "part-0.npz", [Scan(*both) for both in zip(pictures, numbers, strict=True)])
    store = Store(tmp_path / "true", segmented=tmp_path / "seen")
    assert store.segmented.tolist() == [False] * COUNT + [True] * COUNT

    def shown(scan: int, *, rough: bool) -> np.ndarray:
        rng, plain = np.random.default_rng(1), np.array([False])
        return silhouettes_in(store, np.full((1, 4), scan), rng, rough=rough, drop_views=False, mirrored=plain)[0]

    assert np.array_equal(shown(COUNT, rough=True), shown(COUNT, rough=False))
    assert not np.array_equal(shown(0, rough=True), shown(0, rough=False))


@pytest.fixture(scope="module")
def photos(people, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("photos")
    list(write_store(folder, COUNT, partial(photo_scan, people), about={}, workers=1))
    return Store(folder)


def test_people_are_drawn_alike_each_time_and_within_the_span() -> None:
    first, again = draw_people(40, 1, open_body()), draw_people(40, 1, open_body())
    assert first.equals(again)
    bmi = first["weight_kg"] / (first["stature_cm"] / 100) ** 2
    assert bmi.between(15, 45).all()
    assert set(first["sex"]) == {"F", "M"}


def test_a_store_goes_on_where_it_was_and_refuses_another_making(people, tmp_path: Path) -> None:
    made = []

    def maker(number: int):
        made.append(number)
        return silhouette_scan(people, number)

    assert list(write_store(tmp_path, 2, maker, about={"seed": 9}, workers=1))[-1] == 2
    assert list(write_store(tmp_path, 2, maker, about={"seed": 9}, workers=1)) == [2]
    assert made == [0, 1]
    with pytest.raises(ValueError, match="another making"):
        next(write_store(tmp_path, 2, maker, about={"seed": 8}, workers=1))


def test_silhouettes_come_with_their_truth(silhouettes: Store, people) -> None:
    assert len(silhouettes) == COUNT
    assert np.array_equal(silhouettes.numbers["betas"], people[1])
    assert silhouettes.numbers["pose"].shape == (COUNT, 4, 24, 3)
    # Turned to the front, people stand about upright and straight whatever the view.
    assert np.linalg.norm(silhouettes.numbers["pose"][:, :, 0], axis=2).max() < 0.5
    stature = silhouettes.numbers["measured"][:, MEASURED.index("stature_cm")]
    assert np.abs(stature - people[0]["stature_cm"]).max() < 0.2


def test_a_roughened_silhouette_is_still_the_persons(silhouettes: Store) -> None:
    rng = np.random.default_rng(0)
    for scan in range(COUNT):
        true = silhouettes.picture(scan, 0)
        rough = roughen(true, rng)
        a, b = true >= INSIDE, rough >= INSIDE
        assert not np.array_equal(true, rough)
        assert (a & b).sum() / (a | b).sum() > 0.85


def test_batches_leave_views_out_and_follow_the_seed_alone(silhouettes: Store) -> None:
    batches = SilhouetteBatches(silhouettes)
    numbers = np.arange(COUNT)
    first, again = (batches(numbers, np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert 0 < (~first["present"]).sum() < 4 * COUNT
    assert not first["silhouettes"][~first["present"]].any()


def test_views_may_come_from_any_scan_of_the_same_body(silhouettes: Store) -> None:
    """Two bodies with several scans each: every picture and its pose are one scan's, of the right body and view."""
    bodies = np.arange(COUNT) % 2
    plain = SilhouetteBatches(silhouettes, rough=False, drop_views=False)
    alone = plain(np.arange(COUNT), np.random.default_rng(0))
    batches = SilhouetteBatches(silhouettes, bodies, rough=False, drop_views=False)
    mixed = 0
    for seed in range(4):
        given = batches(np.arange(COUNT), np.random.default_rng(seed))
        assert torch.equal(given["betas"], alone["betas"])
        for scan in range(COUNT):
            for view in range(4):
                same = (alone["silhouettes"][:, view] == given["silhouettes"][scan, view]).flatten(1).all(1)
                source = int(torch.nonzero(same)[0])
                assert bodies[source] == bodies[scan]
                assert torch.equal(given["pose"][scan, view], alone["pose"][source, view])
                mixed += source != scan
    assert 0 < mixed < 4 * 4 * COUNT


def test_the_metric_is_the_distance_of_vertices(people) -> None:
    body = open_body()
    betas = people[1].astype(np.float64)
    distance = np.sqrt(np.square(body.shaped(betas[:1]) - body.shaped(betas[1:2])).sum(2).mean()) * 1000
    error = torch.from_numpy(betas[:1] - betas[1:2]).float()
    assert float(ShapeMetric.of(body).millimetres(error)[0]) == pytest.approx(distance, rel=1e-3)


def test_the_quadratic_tape_follows_the_real_one() -> None:
    rng = np.random.default_rng(0)
    betas = rng.normal(size=(30_000, 6))
    true = np.column_stack([betas[:, 0] ** 2 + betas[:, 1], 3 + betas[:, 2] * betas[:, 3]])
    tape = QuadraticTape.fit(betas, true)
    assert np.abs(tape(torch.from_numpy(betas).float()).numpy() - true).max() < 1e-3


def test_an_avatar_learns_a_handful_of_people(silhouettes: Store) -> None:
    body = open_body()
    torch.manual_seed(0)
    shape = {"n_betas": body.n_betas, "components": 8, "features": 16}
    network = build("silhouette-avatar-1", shape)
    begin(network, SilhouetteBatches(silhouettes, drop_views=False))
    metric = ShapeMetric.of(body)
    tape = QuadraticTape.fit(silhouettes.numbers["betas"], silhouettes.numbers["measured"])
    given = SilhouetteBatches(silhouettes, rough=False, drop_views=False)(np.arange(COUNT), np.random.default_rng(0))
    loss = AvatarLoss(metric, tape, girths=0.0)
    slow = {"encoder.look.weight", "encoder.read"}  # they have a beginning, and thousands of inputs
    parts = [{"params": [value], "lr": 1e-5 if name in slow else 3e-3} for name, value in network.named_parameters()]
    optimiser = torch.optim.Adam(parts)
    before = evaluate(network, silhouettes, metric, tape)
    for _ in range(200):
        value, _ = loss(network, given)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    after = evaluate(network, silhouettes, metric, tape)
    assert after["held_out_vertices_mm"] < 0.5 * before["held_out_vertices_mm"]
    assert after["held_out_pose_degrees"] < before["held_out_pose_degrees"]


def test_photos_come_with_masks_views_people_and_faults(photos: Store) -> None:
    given = PhotoBatches(photos, change=False)(np.arange(4 * COUNT), np.random.default_rng(0))
    assert given["photos"].shape == (4 * COUNT, 3, 256, 192)
    empty = given["masks"].sum((1, 2)).reshape(COUNT, 4) == 0
    assert empty[3].all()
    assert not empty[[0, 1, 2, 4, 5]].any()
    assert given["people"].reshape(COUNT, 4)[:, 0].tolist() == [1, 1, 1, 0, 2, 1]
    assert given["view"].reshape(COUNT, 4)[:3].tolist() == [[0, 1, 2, 3]] * 3
    assert (given["view"].reshape(COUNT, 4)[5] != torch.arange(4)).all()
    assert {FAULTS[int(n) - 1] for n in photos.numbers["fault"] if n} == {"no_person", "two_persons", "wrong_view"}


def test_a_mirrored_left_is_a_right(photos: Store) -> None:
    batches = PhotoBatches(photos)
    plain = PhotoBatches(photos, change=False)(np.array([2, 3]), np.random.default_rng(0))
    for seed in range(6):
        seen = batches(np.array([2, 3]), np.random.default_rng(seed))
        mirrored = torch.equal(seen["masks"], plain["masks"].flip(2))
        for row in range(2):
            was_mirrored = torch.equal(seen["masks"][row], plain["masks"][row].flip(1))
            assert seen["view"][row] == ({2: 3, 3: 2}[int(plain["view"][row])] if was_mirrored else plain["view"][row])
        if mirrored:
            return


def test_the_segmenters_loss_falls_and_its_errors_are_told(photos: Store) -> None:
    torch.manual_seed(0)
    network = build("unet-1", {"widths": [6, 8, 8, 12, 12]}).train()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    given = PhotoBatches(photos)(np.arange(8), np.random.default_rng(0))
    losses = []
    for _ in range(10):
        value, told = segmenter_loss(network, given)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert set(told) == {"cross", "dice", "view", "people", "faults"}
    seen = overlaps(network.eval(), photos)
    assert len(seen["iou"]) == 4 * COUNT
    assert ((seen["iou"] >= 0) & (seen["iou"] <= 1)).all()


def test_scans_seen_in_a_mirror_are_those_of_a_mirrored_person(silhouettes: Store, people) -> None:
    """Mirrored poses of mirrored bodies cover what mirrored pictures show: the same pixels, view by view."""
    _, betas = people
    body = open_body()
    pose = silhouettes.numbers["pose"][:2]
    turned = mirrored_pose(torch.from_numpy(pose))
    assert np.array_equal(mirrored_pose(turned), pose)
    turned = turned.numpy()
    for scan in range(2):
        vertices, _ = body.posed(np.repeat(betas[scan][None], 8, 0), np.concatenate([pose[scan], turned[scan]]))
        for view, other in enumerate(IN_A_MIRROR):
            distance, _ = cKDTree(vertices[4 + view]).query(vertices[other] * [-1, 1, 1])
            assert distance.max() < 1e-4
    whole = {"rough": False, "drop_views": False}
    rng = np.random.default_rng(0)
    plain, boxes, _ = silhouettes_in(silhouettes, np.zeros((1, 4), int), rng, **whole, mirrored=np.array([False]))
    seen, mirrored_boxes, _ = silhouettes_in(
        silhouettes, np.zeros((1, 4), int), rng, **whole, mirrored=np.array([True])
    )
    assert np.abs(seen[:, IN_A_MIRROR, :, ::-1] - plain).mean() < 2e-3  # resampled from another place
    assert mirrored_boxes[:, IN_A_MIRROR, 0] == pytest.approx(1 - boxes[..., 0])
    assert np.array_equal(mirrored_boxes[:, IN_A_MIRROR, 1:], boxes[..., 1:])
    some = np.array([[True, True, False, True]])
    asked = [torch.from_numpy(part) for part in (plain, np.where(some[..., None], boxes, 0), some)]
    picture, box, there = (part.numpy() for part in mirrored_scan(*asked))
    assert np.abs(picture - seen).mean() < 2e-3
    assert there.tolist() == [[True, True, True, False]]
    assert box == pytest.approx(np.where(there[..., None], mirrored_boxes, 0), abs=1e-6)
