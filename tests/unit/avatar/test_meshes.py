"""Mesh files, read by trimesh and checked against the glTF 2.0 specification by hand."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import trimesh

from models.avatar import About, glb, obj, standing
from models.avatar.meshes import NODE, RENDERED_NOTICE
from models.body.data import BodyData
from models.body.skeleton import joint
from models.errors import BodyRequestError

ABOUT = About("Calliper open body", (("avatar", "shapes@3"),), rendered=True, further=(("body_fat_percent", 21.5),))
COMPONENT = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def parse_glb(content: bytes) -> tuple[dict, bytes]:
    """The two chunks of a GLB, with everything checked that ISO/IEC 12113 says of the container."""
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    chunks, at = [], 12
    while at < len(content):
        size, kind = struct.unpack_from("<I4s", content, at)
        assert size % 4 == 0, "chunks end on four bytes"
        chunks.append((kind, content[at + 8 : at + 8 + size]))
        assert len(chunks[-1][1]) == size
        at += 8 + size
    assert at == len(content)
    assert [kind for kind, _ in chunks] == [b"JSON", b"BIN\0"]
    return json.loads(chunks[0][1].decode("utf-8")), chunks[1][1]


def accessor_of(document: dict, binary: bytes, number: int) -> np.ndarray:
    """The values of an accessor, its bounds and place having been checked."""
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype, width = np.dtype(COMPONENT[accessor["componentType"]]), WIDTH[accessor["type"]]
    assert view["byteOffset"] % 4 == 0
    assert view["byteOffset"] + view["byteLength"] <= document["buffers"][view["buffer"]]["byteLength"]
    assert accessor.get("byteOffset", 0) % dtype.itemsize == 0
    assert accessor["count"] * width * dtype.itemsize <= view["byteLength"]
    values = np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
    for bound, found in (("min", values.min(0)), ("max", values.max(0))):
        if bound in accessor:
            assert (np.array(accessor[bound], dtype) == found).all(), "bounds are exact"
    return values


@pytest.fixture(scope="module")
def vertices(body: BodyData) -> np.ndarray:
    return standing(np.zeros(body.n_betas), body)


@pytest.fixture(scope="module")
def content(vertices: np.ndarray, body: BodyData) -> bytes:
    return glb(vertices, body.faces, ABOUT)


def test_a_glb_keeps_to_the_specification(content: bytes, body: BodyData) -> None:
    document, binary = parse_glb(content)
    assert document["asset"]["version"] == "2.0"
    assert len(document["buffers"]) == 1
    assert 0 <= len(binary) - document["buffers"][0]["byteLength"] <= 3
    assert "uri" not in document["buffers"][0], "nothing is fetched from elsewhere"
    views = document["bufferViews"]
    ends = [view["byteOffset"] + view["byteLength"] for view in views]
    assert all(end <= view["byteOffset"] for end, view in zip(ends, views[1:], strict=False)), "views overlap"
    primitive = document["meshes"][0]["primitives"][0]
    positions = accessor_of(document, binary, primitive["attributes"]["POSITION"])
    normals = accessor_of(document, binary, primitive["attributes"]["NORMAL"])
    indices = accessor_of(document, binary, primitive["indices"])
    assert {"min", "max"} <= set(document["accessors"][primitive["attributes"]["POSITION"]])
    for name, target in (("POSITION", 34962), ("NORMAL", 34962)):
        number = document["accessors"][primitive["attributes"][name]]["bufferView"]
        assert views[number]["target"] == target
    assert views[document["accessors"][primitive["indices"]]["bufferView"]]["target"] == 34963
    assert primitive.get("mode", 4) == 4
    assert len(positions) == len(normals) == body.n_vertices
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-5
    assert len(indices) % 3 == 0
    assert indices.max() < len(positions)
    assert indices.max() != np.iinfo(indices.dtype).max, "the restart value is not an index"
    assert (indices.reshape(-1, 3) == body.faces).all()


def test_a_glb_has_one_named_node_of_neutral_grey(content: bytes) -> None:
    document, _ = parse_glb(content)
    assert document["scene"] == 0
    assert document["scenes"][0]["nodes"] == [0]
    assert [(node["name"], node["mesh"]) for node in document["nodes"]] == [(NODE, 0)]
    material = document["materials"][document["meshes"][0]["primitives"][0]["material"]]["pbrMetallicRoughness"]
    red, green, blue, opaque = material["baseColorFactor"]
    assert opaque == 1
    assert max(red, green, blue) - min(red, green, blue) < 0.1
    assert material["metallicFactor"] == 0
    assert not {"textures", "images"} & set(document)


def test_a_glb_says_what_it_is(content: bytes) -> None:
    document, _ = parse_glb(content)
    for extras in (document["asset"]["extras"], document["nodes"][0]["extras"]):
        assert "Calliper avatar" in extras["what"]
        assert extras["checkpoints"] == {"avatar": "shapes@3"}
        assert extras["rendered"] is True
        assert extras["notice"] == RENDERED_NOTICE
        assert extras["body_fat_percent"] == 21.5


def test_an_avatar_of_a_camera_does_not_say_that_it_is_rendered(vertices: np.ndarray, body: BodyData) -> None:
    document, _ = parse_glb(glb(vertices, body.faces, About(body.name)))
    assert document["asset"]["extras"]["rendered"] is False
    assert "notice" not in document["asset"]["extras"]


def test_trimesh_reads_the_glb_as_the_same_closed_body(content: bytes, vertices: np.ndarray, body: BodyData) -> None:
    scene = trimesh.load(io.BytesIO(content), file_type="glb", process=False)
    assert list(scene.geometry) == [NODE]
    mesh = scene.geometry[NODE]
    assert np.abs(mesh.vertices - vertices).max() < 1e-6
    assert mesh.is_watertight
    rest = body.shaped(np.zeros((1, body.n_betas)))[0]
    true = trimesh.Trimesh(rest, body.faces, process=False).volume
    assert mesh.volume == pytest.approx(true, rel=0.02), "outside is outside, and metres are metres"
    assert (mesh.vertex_normals * (mesh.vertices - mesh.vertices.mean(0))).sum(1).mean() > 0


def test_trimesh_reads_the_obj_as_the_same_body(vertices: np.ndarray, body: BodyData) -> None:
    content = obj(vertices, body.faces, ABOUT)
    mesh = trimesh.load(io.BytesIO(content), file_type="obj", process=False, maintain_order=True)
    assert mesh.is_watertight
    assert len(mesh.vertices) == body.n_vertices
    assert np.abs(np.sort(mesh.vertices, axis=0) - np.sort(vertices, axis=0)).max() < 1e-6
    said = [line for line in content.decode("ascii").splitlines() if line.startswith("#")]
    assert f'# notice: "{RENDERED_NOTICE}"' in said
    assert '# checkpoints: {"avatar": "shapes@3"}' in said


def test_no_word_of_a_file_breaks_out_of_its_comment(vertices: np.ndarray, body: BodyData) -> None:
    hostile = About(body.name, (("avatar", "x\nv 1 2 3"),), further=(("title", "å\r\nf 1 2 3"),))
    lines = obj(vertices, body.faces, hostile).decode("ascii").splitlines()
    assert sum(line.startswith("v ") for line in lines) == body.n_vertices
    assert sum(line.startswith("f ") for line in lines) == len(body.faces)


@pytest.mark.parametrize("write", [glb, obj])
def test_the_same_avatar_has_the_same_bytes(write, vertices: np.ndarray, body: BodyData) -> None:
    assert write(vertices, body.faces, ABOUT) == write(vertices.copy(), body.faces.copy(), ABOUT)


def test_an_avatar_stands_on_the_floor_facing_forward(people, body: BodyData) -> None:
    for who in people[:8]:
        vertices = standing(who.betas, body)
        assert vertices[:, 1].min() == pytest.approx(0, abs=1e-12)
        joints = body.joints(body.shaped(who.betas[None]))[0]
        assert joints[joint("left_hip"), 0] > joints[joint("right_hip"), 0]  # x to the person's left
        toes = vertices[vertices[:, 1] < 0.02]
        assert toes[:, 2].max() > -toes[:, 2].min()  # toes are in front of the ankles, heels behind
        assert np.abs(vertices[:, 0].max() + vertices[:, 0].min()) < 0.01


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int)),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        (np.zeros((0, 3)), np.zeros((0, 3), int)),
        (np.zeros((3, 3)), np.array([[0, 1, 3]])),
        (np.zeros((3, 3)), np.array([[0, 1, -1]])),
        (np.zeros((3, 3)), np.array([[0.0, 1.0, 2.0]])),
    ],
    ids=["flat", "not finite", "empty", "beyond", "negative", "not whole"],
)
def test_what_is_no_mesh_is_refused(vertices: np.ndarray, faces: np.ndarray) -> None:
    with pytest.raises(BodyRequestError):
        glb(vertices, faces, About("x"))


def test_many_vertices_get_wide_indices_and_unused_ones_a_normal() -> None:
    vertices = np.zeros((70_000, 3))
    vertices[[0, 1, 69_999]] = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    document, binary = parse_glb(glb(vertices, np.array([[0, 1, 69_999]]), About("x")))
    primitive = document["meshes"][0]["primitives"][0]
    assert document["accessors"][primitive["indices"]]["componentType"] == 5125
    assert accessor_of(document, binary, primitive["indices"]).ravel().tolist() == [0, 1, 69_999]
    normals = accessor_of(document, binary, primitive["attributes"]["NORMAL"])
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-6
    assert normals[0].tolist() == [0, 0, 1]
