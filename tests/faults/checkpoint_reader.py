"""Reads checkpoints with little memory to spare; one line of JSON with what became of each.

Words: paths of weights. Answer: path -> [class of the error, or null where it was read; message].
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch

from models.checkpoints import read_checkpoint

SPARE_BYTES = 192 * 2**20


def address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


torch.set_num_threads(1)
whole, *hostile = sys.argv[1:]
read_checkpoint(whole)  # so that everything is imported
limit = address_space() + SPARE_BYTES
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    bytearray(2 * SPARE_BYTES)
except MemoryError:
    pass
else:
    sys.exit("the limit does not hold")
found = {}
for path in [whole, *hostile]:
    try:
        read_checkpoint(path)
        found[path] = [None, ""]
    except BaseException as error:  # whatever it is, the test is told
        found[path] = [type(error).__name__, str(error)]
print(json.dumps(found))
