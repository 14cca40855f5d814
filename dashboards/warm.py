"""What the first avatar of a process would wait for, done before anybody asks.

The body model is read, the directions in which people get fatter are found, and what is compiled or loaded on first use
is used once.
"""

from __future__ import annotations

import gc
import logging

import numpy as np

from models.avatar.morph import Morpher
from models.avatar.outline import outlines, seen_by_phone
from models.body import open_body

_log = logging.getLogger("calliper.dashboard")


def warm() -> None:
    """Show an avatar to nobody. What goes wrong is told where somebody asks for one, and here in the log."""
    try:
        body = open_body()
        betas = np.zeros(body.n_betas)
        for sex in ("F", "M"):
            Morpher(betas, body_fat_percent=25.0, sex=sex).measured(24.0)
        seen = seen_by_phone(betas, body.scan_pose, "front", body)
        outlines(seen, betas, body.scan_pose, "front", body)
    except Exception:
        _log.exception("the avatar could not be prepared")
    # What is loaded by now stays for good; looking through all of it for garbage would hold up a page now and then.
    gc.collect()
    gc.freeze()
