"""The tape: girths of plane sections, and the volume and area of a mesh, compiled.

Everything compiled is in this one file: Numba's cache does not notice changes of what is called in another.

A girth is the length of a tape pulled tight around a section, that is the perimeter of its convex hull. A section is
taken of one body part, given as the edges of its mesh; the points where edges cross the plane are all a hull needs, so
that no contour has to be traced.

Length units are those of the vertices.
"""

from __future__ import annotations

import numba
import numpy as np

jit = numba.njit(cache=True, fastmath=False, nogil=True)


@jit
def crossings(vertices, edges, origin, normal, which, where):
    """Edges that cross a plane. vertices (V, 3), edges (E, 2); fills `which` (edge) and `where` (share of the way)."""
    n = 0
    offset = origin[0] * normal[0] + origin[1] * normal[1] + origin[2] * normal[2]
    for e in range(edges.shape[0]):
        a = edges[e, 0]
        b = edges[e, 1]
        p = vertices[a, 0] * normal[0] + vertices[a, 1] * normal[1] + vertices[a, 2] * normal[2] - offset
        q = vertices[b, 0] * normal[0] + vertices[b, 1] * normal[1] + vertices[b, 2] * normal[2] - offset
        if (p >= 0.0) != (q >= 0.0):
            which[n] = e
            where[n] = p / (p - q)
            n += 1
    return n


@jit
def plane_axes(normal):
    """Two unit vectors that span the plane with the given unit normal."""
    k = 0
    for i in range(1, 3):
        if abs(normal[i]) < abs(normal[k]):
            k = i
    helper = np.zeros(3)
    helper[k] = 1.0
    u = np.cross(normal, helper)
    u /= np.sqrt((u * u).sum())
    return u, np.cross(normal, u)


@jit
def convex_hull(points):
    """Indices of the convex hull of points (P, 2), counter-clockwise (Andrew's monotone chain); P ≥ 3."""
    n = points.shape[0]
    order = np.argsort(points[:, 0])
    # Equal abscissae must be in order of their ordinates.
    for i in range(1, n):
        j = i
        while (
            j > 0 and points[order[j], 0] == points[order[j - 1], 0] and points[order[j], 1] < points[order[j - 1], 1]
        ):
            order[j], order[j - 1] = order[j - 1], order[j]
            j -= 1
    hull = np.empty(2 * n, np.int64)
    k = 0
    for turn in range(2):
        start = k if turn else 1
        for step in range(n if turn == 0 else n - 1):
            p = order[step] if turn == 0 else order[n - 2 - step]
            while k > start:
                a = hull[k - 2]
                b = hull[k - 1]
                cross = (points[b, 0] - points[a, 0]) * (points[p, 1] - points[a, 1]) - (
                    points[b, 1] - points[a, 1]
                ) * (points[p, 0] - points[a, 0])
                if cross > 0.0:
                    break
                k -= 1
            hull[k] = p
            k += 1
    return hull[: k - 1]


@jit
def tape_line(vertices, edges, origin, normal):
    """The hull of a section: points (H, 3), the crossed edges (H,) and shares (H,). H is 0 where nothing is cut."""
    which = np.empty(edges.shape[0], np.int64)
    where = np.empty(edges.shape[0])
    n = crossings(vertices, edges, origin, normal, which, where)
    if n < 3:
        return np.empty((0, 3)), which[:0], where[:0]
    u, w = plane_axes(normal)
    points = np.empty((n, 3))
    flat = np.empty((n, 2))
    for i in range(n):
        a = edges[which[i], 0]
        b = edges[which[i], 1]
        for c in range(3):
            points[i, c] = vertices[a, c] + where[i] * (vertices[b, c] - vertices[a, c])
        flat[i, 0] = points[i, 0] * u[0] + points[i, 1] * u[1] + points[i, 2] * u[2]
        flat[i, 1] = points[i, 0] * w[0] + points[i, 1] * w[1] + points[i, 2] * w[2]
    hull = convex_hull(flat)
    return points[hull], which[hull], where[hull]


@jit
def closed_length(points):
    """Length of the closed line through points (H, 3)."""
    total = 0.0
    n = points.shape[0]
    for i in range(n):
        d = points[(i + 1) % n] - points[i]
        total += np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    return total


@jit
def plane_of(points, plane, fraction, upright):
    """Origin and unit normal of a plane between landmark points plane[0] and plane[1]; upright planes are
    horizontal."""
    a = points[plane[0]]
    b = points[plane[1]]
    origin = a + fraction * (b - a)
    normal = np.array([0.0, 1.0, 0.0]) if upright else (b - a) / np.sqrt(((b - a) ** 2).sum())
    return origin, normal


@jit
def girths(vertices, points, edges, offsets, planes, fractions, upright):
    """Girth of every plane, (P,); 0 where a plane misses its part.

    vertices (V, 3), points (L, 3) landmarks; edges (E, 2) of all planes one after the other, plane p having
    edges[offsets[p]:offsets[p + 1]]; planes (P, 2), fractions (P,) and upright (P,) as of `plane_of`.
    """
    out = np.empty(planes.shape[0])
    for p in range(planes.shape[0]):
        origin, normal = plane_of(points, planes[p], fractions[p], upright[p])
        line, _, _ = tape_line(vertices, edges[offsets[p] : offsets[p + 1]], origin, normal)
        out[p] = closed_length(line)
    return out


@jit
def girth_gradient(vertices, shapes, points, point_shapes, edges, plane, fraction, upright):
    """One girth and its derivative by betas.

    vertices (V, 3) with shapes (V, 3, K) their derivatives, points (L, 3) with point_shapes (L, 3, K). Returns the
    girth and (K,). A hull point h on edge a–b stays in the plane while a, b and the plane move; its movement along the
    tape is what changes the length.
    """
    k = shapes.shape[2]
    gradient = np.zeros(k)
    origin, normal = plane_of(points, plane, fraction, upright)
    line, which, where = tape_line(vertices, edges, origin, normal)
    n = line.shape[0]
    by_origin = 0.0
    by_normal = np.zeros(3)
    length = 0.0
    for i in range(n):
        before = line[i] - line[i - 1]
        after = line[(i + 1) % n] - line[i]
        length_before = np.sqrt((before * before).sum())
        length_after = np.sqrt((after * after).sum())
        length += length_after
        pull = np.zeros(3)
        if length_before > 0.0:
            pull += before / length_before
        if length_after > 0.0:
            pull -= after / length_after
        a = edges[which[i], 0]
        b = edges[which[i], 1]
        along = vertices[b] - vertices[a]
        slide = (pull * along).sum() / (normal * along).sum()
        direct = pull - slide * normal
        t = where[i]
        for c in range(3):
            weight_a = (1.0 - t) * direct[c]
            weight_b = t * direct[c]
            for j in range(k):
                gradient[j] += weight_a * shapes[a, c, j] + weight_b * shapes[b, c, j]
        by_origin += slide
        by_normal -= slide * (line[i] - origin)
    first = point_shapes[plane[0]]
    second = point_shapes[plane[1]]
    for c in range(3):
        for j in range(k):
            moved = first[c, j] + fraction * (second[c, j] - first[c, j])
            gradient[j] += by_origin * normal[c] * moved
    if not upright:
        span = points[plane[1]] - points[plane[0]]
        size = np.sqrt((span * span).sum())
        by_normal -= (by_normal * normal).sum() * normal
        for c in range(3):
            for j in range(k):
                gradient[j] += by_normal[c] / size * (second[c, j] - first[c, j])
    return length, gradient


@jit
def volume_and_area(vertices, faces):
    """Enclosed volume (whatever the faces' sense of rotation) and surface area of a closed mesh."""
    volume = 0.0
    area = 0.0
    for f in range(faces.shape[0]):
        a = vertices[faces[f, 0]]
        b = vertices[faces[f, 1]]
        c = vertices[faces[f, 2]]
        ux = b[0] - a[0]
        uy = b[1] - a[1]
        uz = b[2] - a[2]
        vx = c[0] - a[0]
        vy = c[1] - a[1]
        vz = c[2] - a[2]
        nx = uy * vz - uz * vy
        ny = uz * vx - ux * vz
        nz = ux * vy - uy * vx
        area += np.sqrt(nx * nx + ny * ny + nz * nz)
        volume += a[0] * nx + a[1] * ny + a[2] * nz
    return abs(volume) / 6.0, area / 2.0


@jit
def shaped(template, by_beta, betas):
    """template (V, 3) moved by betas (K,); by_beta (K, 3 V), one row for each beta."""
    out = template.ravel().copy()
    for k in range(by_beta.shape[0]):
        for i in range(by_beta.shape[1]):
            out[i] += betas[k] * by_beta[k, i]
    return out.reshape(template.shape)


@jit
def girths_by_beta(
    vertices, shapes, points, point_shapes, edges, offsets, planes, fractions, upright, girth_of, n_girths
):
    """Girths (G,) and their derivatives (G, K); arguments as of `girths` and `girth_gradient`, girth_of (P,) names the
    girth that a plane belongs to: the largest of its planes is the girth."""
    girths = np.zeros(n_girths)
    largest = np.zeros(n_girths, np.int64)
    for p in range(planes.shape[0]):
        origin, normal = plane_of(points, planes[p], fractions[p], upright[p])
        line, _, _ = tape_line(vertices, edges[offsets[p] : offsets[p + 1]], origin, normal)
        length = closed_length(line)
        if length > girths[girth_of[p]]:
            girths[girth_of[p]] = length
            largest[girth_of[p]] = p
    by_beta = np.zeros((n_girths, shapes.shape[2]))
    for g in range(n_girths):
        p = largest[g]
        own = edges[offsets[p] : offsets[p + 1]]
        by_beta[g] = girth_gradient(vertices, shapes, points, point_shapes, own, planes[p], fractions[p], upright[p])[1]
    return girths, by_beta


@jit
def cubic(coefficients, betas):
    """Σ T_abc x_a x_b x_c with x = (1, betas) and symmetric T (K+1, K+1, K+1), and its derivative by betas (K,)."""
    k = len(betas) + 1
    x = np.ones(k)
    x[1:] = betas
    gradient = np.zeros(k)
    for a in range(k):
        total = 0.0
        for b in range(k):
            inner = 0.0
            for c in range(k):
                inner += coefficients[a, b, c] * x[c]
            total += inner * x[b]
        gradient[a] = total
    return (gradient * x).sum(), 3.0 * gradient[1:]


@jit
def triple_products(a, b, c, d, e):
    """Σ over rows of a_i (b_j c_k - d_j e_k), as (K, K · K), of arrays (F, K).

    Not left to the matrix products of NumPy: on a busy machine their threads wait for each other many times as long.
    """
    k = a.shape[1]
    out = np.zeros((k, k * k))
    inner = np.empty(k * k)
    for f in range(a.shape[0]):
        for j in range(k):
            for m in range(k):
                inner[j * k + m] = b[f, j] * c[f, m] - d[f, j] * e[f, m]
        for i in range(k):
            weight = a[f, i]
            row = out[i]
            for n in range(k * k):
                row[n] += weight * inner[n]
    return out
