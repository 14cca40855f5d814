"""Which groups of people may be shown: small ones could tell who is meant."""

from __future__ import annotations

from collections.abc import Mapping

SECONDARY = "so that the groups below the minimum cell cannot be worked out"


def suppressed(counts: Mapping[str, int], minimum: int) -> dict[str, str | None]:
    """Groups that must not be shown: those of 1 to `minimum` - 1 subjects, with None, and further ones, with a reason.

    The whole is known, so a single hidden group could be worked out from it by subtraction, and so could hidden groups
    that hold fewer than `minimum` subjects together. Hence the smallest further groups are hidden, too, until two
    groups are hidden that hold enough. A group of nobody is shown: it tells of nobody. Attributes are looked at one by
    one; what several tables reveal together is not found out.
    """
    hidden: dict[str, str | None] = {name: None for name, count in counts.items() if 0 < count < minimum}
    left = sorted((name for name, count in counts.items() if count >= minimum), key=lambda name: (counts[name], name))
    while hidden and left and (len(hidden) == 1 or sum(counts[name] for name in hidden) < minimum):
        hidden[left.pop(0)] = SECONDARY
    return hidden
