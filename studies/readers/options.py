"""What a user may say about files that cannot be told from the files themselves."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from studies.errors import PlanError

_DELIMITER_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class ReaderOptions:
    """Settings of the readers; None means: detect it.

    delimiter: one character, or one of the words tab, comma, semicolon, pipe, space (delimited text).
    encoding: a codec name such as "utf-8" or "cp1252" (delimited text; text in SAS XPT).
    decimal: "." or "," (delimited text).
    sheet: the one sheet to read (Excel).
    max_line_bytes: a longer line, or a longer quoted cell, of a text file is refused.
    max_unpacked_bytes: an Excel workbook that unpacks to more is refused.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    sheet: str | None = None
    max_line_bytes: int = 1 << 20
    max_unpacked_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            delimiter = _DELIMITER_WORDS.get(self.delimiter.lower(), self.delimiter)
            if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in "\"'\r\n.-+":
                raise PlanError(
                    f"{self.delimiter!r} cannot be a delimiter.",
                    remedy="Give one character such as ',' or ';', or the word tab.",
                )
            object.__setattr__(self, "delimiter", delimiter)
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise PlanError(
                    f"there is no encoding named {self.encoding!r}.",
                    remedy="Common ones are utf-8, utf-16, cp1252 and latin-1; leave it out to have it detected.",
                ) from None
        if self.decimal not in (None, ".", ","):
            raise PlanError(f"{self.decimal!r} cannot be a decimal mark.", remedy="Give '.' or ','.")
        for name in ("max_line_bytes", "max_unpacked_bytes"):
            if getattr(self, name) < 1:
                raise PlanError(f"{name} is {getattr(self, name)}.", remedy="Give a number of bytes above zero.")
