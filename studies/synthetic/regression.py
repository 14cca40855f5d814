"""Regression of location, scale and shape: the conditional distributions that the synthetic cohort is made of.

For a person with covariates x, a quantity v is drawn as

    y = transform(v),  y = mu(x) + sigma(x) z,  mu = X beta,  ln sigma = Z gamma,
    z = sinh((asinh(n) + epsilon) / delta),     n ~ N(0, 1)

which is the sinh-arcsinh distribution of Jones and Pewsey (Biometrika 2009;96:761): epsilon = 0 and delta = 1 give the
normal distribution, epsilon > 0 skews to the right, delta < 1 gives heavier tails. It is fitted by maximum likelihood.

Terms are written as text, for example "age^2" or "ethnicity=other*age": factors joined by "*", each a covariate, a
power of a covariate or a level of a categorical one. Covariates are standardised by fixed centres and scales
(`COVARIATES`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

# name of the covariate in terms -> (column, transform, centre, scale). Centres and scales only keep the coefficients
# near one; they are rounded middle values of adults.
COVARIATES: dict[str, tuple[str, str, float, float]] = {
    "age": ("age", "identity", 45.0, 20.0),
    "stature": ("stature_cm", "identity", 167.0, 10.0),
    "bmi": ("bmi", "log", np.log(27.0), 0.2),
    "waist": ("waist_cm", "log", np.log(95.0), 0.15),
    "arm": ("arm_cm", "log", np.log(32.0), 0.15),
    "thigh": ("thigh_cm", "log", np.log(52.0), 0.15),
    "fat": ("body_fat_percent", "logit", 0.0, 0.4),
    "triceps": ("triceps_skinfold_mm", "log", np.log(18.0), 0.5),
}


def _upper(name: str) -> float:
    """The upper limit of a logit scale: 100 for percentages, or as in "logit 60"."""
    return float(name.removeprefix("logit") or 100.0)


def transform(values: Array, name: str) -> Array:
    """`values` on the scale `name`: "identity", "log", "logit" (of a percentage) or "logit 60" (of values below 60)."""
    values = np.asarray(values, dtype=np.float64)
    if name == "identity":
        return values
    if name == "log":
        return np.log(values)
    return special.logit(values / _upper(name))


def inverse(values: Array, name: str) -> Array:
    """The inverse of `transform`."""
    if name == "identity":
        return values
    if name == "log":
        return np.exp(values)
    return _upper(name) * special.expit(values)


def _slope(values: Array, name: str) -> Array | float:
    """The derivative of `inverse` at `values`."""
    if name == "identity":
        return 1.0
    if name == "log":
        return np.exp(values)
    fraction = special.expit(values)
    return _upper(name) * fraction * (1.0 - fraction)


def design(terms: Sequence[str], data: Mapping[str, NDArray]) -> Array:
    """The design matrix (n, len(terms)) of `terms` for the columns in `data` (a dict of arrays or a DataFrame)."""
    cache: dict[str, Array] = {}

    def factor(text: str) -> Array:
        if text not in cache:
            if "=" in text:
                column, level = text.split("=")
                cache[text] = (np.asarray(data[column]) == level).astype(np.float64)
            elif "^" in text:
                base, power = text.split("^")
                cache[text] = factor(base) ** int(power)
            else:
                column, scale, centre, spread = COVARIATES[text]
                cache[text] = (transform(np.asarray(data[column]), scale) - centre) / spread
        return cache[text]

    n = len(np.asarray(data["age"]))
    matrix = np.ones((n, len(terms)))
    for j, term in enumerate(terms):
        for part in term.split("*"):
            if part != "1":
                matrix[:, j] *= factor(part)
    return matrix


@dataclass(frozen=True)
class Regression:
    """A fitted conditional distribution of `column` (see the module's text)."""

    column: str
    scale: str
    location: dict[str, float]
    log_sigma: dict[str, float]
    epsilon: float
    delta: float

    def mu(self, data: Mapping[str, NDArray]) -> Array:
        """Location on the transformed scale, shape (n,)."""
        return design(list(self.location), data) @ np.array(list(self.location.values()))

    def sigma(self, data: Mapping[str, NDArray]) -> Array:
        """Scale on the transformed scale, shape (n,)."""
        return np.exp(design(list(self.log_sigma), data) @ np.array(list(self.log_sigma.values())))

    def shape(self, normal: Array) -> Array:
        """Standard normal deviates as deviates z of this distribution."""
        return np.sinh((np.arcsinh(normal) + self.epsilon) / self.delta)

    def draw(self, data: Mapping[str, NDArray], normal: Array, *, noise_sd: float = 0.0) -> Array:
        """The quantity for people `data` at the standard normal deviates `normal`, in the unit of the column.

        The spread that was fitted holds the error of a single reading. With `noise_sd`, the SD of that error in the
        unit of the column, the spread is that much smaller (in variances), so that people plus error have the fitted
        spread.
        """
        mu, sigma = self.mu(data), self.sigma(data)
        if noise_sd:
            noise = noise_sd / _slope(mu, self.scale)
            sigma = np.sqrt(np.maximum(sigma**2 - noise**2, 0.1 * sigma**2))
        return inverse(mu + sigma * self.shape(normal), self.scale)

    @classmethod
    def from_dict(cls, document: Mapping) -> Regression:
        """The regression written by `to_dict`."""
        return cls(**document)

    def to_dict(self) -> dict:
        """Plain numbers for JSON, to six significant digits."""

        def plain(table: dict[str, float]) -> dict[str, float]:
            return {term: _six(value) for term, value in table.items()}

        return {
            "column": self.column,
            "scale": self.scale,
            "location": plain(self.location),
            "log_sigma": plain(self.log_sigma),
            "epsilon": _six(self.epsilon),
            "delta": _six(self.delta),
        }


def _six(value: float) -> float:
    return float(f"{value:.6g}")


def fit(
    column: str,
    data: Mapping[str, NDArray],
    *,
    scale: str,
    location: Sequence[str],
    log_sigma: Sequence[str] = ("1",),
    weights: Array | None = None,
) -> Regression:
    """Fit a `Regression` of `data[column]` by maximum likelihood.

    `data` has no missing values; `weights` (n,) multiply each row's log likelihood. Raises ArithmeticError when the
    optimiser does not converge.
    """
    y = transform(np.asarray(data[column]), scale)
    X, Z = design(location, data), design(log_sigma, data)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    p, q = X.shape[1], Z.shape[1]

    root = np.sqrt(w)
    beta, *_ = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)
    residual = y - X @ beta
    gamma = np.zeros(q)
    gamma[0] = np.log(np.sqrt(np.average(residual**2, weights=w)))
    # Columns of X in units of the residual, so that the optimiser sees parameters of like size.
    unit = np.exp(gamma[0])

    def loss(theta: Array) -> tuple[float, Array]:
        mu, log_s = X @ (theta[:p] * unit), Z @ theta[p : p + q]
        epsilon, delta = theta[-2], np.exp(theta[-1])
        s = np.exp(log_s)

        z = (y - mu) / s
        inner = np.arcsinh(z)
        arg = delta * inner - epsilon
        r, c = np.sinh(arg), np.cosh(arg)
        value = np.log(delta) + np.log(c) - 0.5 * np.log1p(z**2) - 0.5 * r**2 - log_s
        d_arg = r / c - r * c
        d_z = d_arg * delta / np.sqrt(1 + z**2) - z / (1 + z**2)
        g_mu, g_log_s = -d_z / s, -d_z * z - 1.0
        g_epsilon, g_log_delta = -d_arg, d_arg * delta * inner + 1.0
        gradient = np.concatenate([unit * (X.T @ (w * g_mu)), Z.T @ (w * g_log_s), [w @ g_epsilon], [w @ g_log_delta]])
        total = w.sum()
        return -float(w @ value) / total, -gradient / total

    start = np.concatenate([beta / unit, gamma, [0.0, 0.0]])
    bounds = [(None, None)] * p + [(-8.0, 8.0)] * q + [(-1.5, 1.5), (np.log(0.4), np.log(2.5))]
    found = optimize.minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-12},
    )
    if not found.success:
        raise ArithmeticError(f"the regression of {column} did not converge: {found.message}")
    theta = found.x
    return Regression(
        column=column,
        scale=scale,
        location=dict(zip(location, (theta[:p] * unit).tolist(), strict=True)),
        log_sigma=dict(zip(log_sigma, theta[p : p + q].tolist(), strict=True)),
        epsilon=float(theta[-2]),
        delta=float(np.exp(theta[-1])),
    )


def fit_logistic(outcome: Array, data: Mapping[str, NDArray], terms: Sequence[str], weights: Array) -> dict[str, float]:
    """Coefficients of a logistic regression of the 0/1 `outcome` on `terms`, by Newton's method."""
    X, y = design(terms, data), np.asarray(outcome, dtype=np.float64)
    beta = np.zeros(X.shape[1])
    for _ in range(50):
        probability = special.expit(X @ beta)
        information = (X * (weights * probability * (1 - probability))[:, None]).T @ X
        step = np.linalg.solve(information, X.T @ (weights * (y - probability)))
        beta += step
        if np.abs(step).max() < 1e-10:
            return {term: _six(value) for term, value in zip(terms, beta.tolist(), strict=True)}
    raise ArithmeticError("the logistic regression did not converge")
