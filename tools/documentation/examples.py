"""The examples of the documentation, run as a reader would run them.

A page is one road, in a folder of its own. On it are

- blocks of the language `console`: lines that begin with `$ ` are commands, what follows is what they print. A command
  must end with 0, unless `$ echo $?` after it shows with what it ends. A line `…` stands for any lines;
- blocks with a title (`yaml title="plan.yaml"`): files that the reader writes;
- blocks of the language `python`: programs.

Everything else is only shown. What commands printed is written into a page with

    python -m tools.documentation.examples docs/tutorial.md
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"[|<>;&*$`(]")
# What differs from one day, machine or release to the next. Spaces go too: columns are as wide as what is in them.
_PASSING = re.compile(
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?(?: UTC)?"  # times
    r"|\b[\d.,]+ (?:s|ms|kB|KB|MB|bytes|GiB)\b"  # durations and sizes
    r"|(?:\b[0-9a-f]{2}/)?\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b…?"  # hashes, and folders by them
    r"|\b(?:calliper|torch),? [\d.]+\S*"  # versions
    r"|\b[0-9a-f]{4}(?: [0-9a-f]{4}){7}\b"  # fingerprints of keys
    r"|(?<=\.\d{6})\d+"  # digits in which processors of another kind may differ
    r"|\s+"
)


class ExampleError(AssertionError):
    """An example that does not do what the page says."""


@dataclass(frozen=True)
class Example:
    """A block of a page: its language, its title if it is a file, its text, and where it is."""

    language: str
    title: str | None
    text: str
    start: int
    end: int


def examples(page: str) -> list[Example]:
    """The blocks of a page that have a language, in their order."""
    return [Example(m[1], m[2], m[3], m.start(3), m.end(3)) for m in BLOCK.finditer(page)]


def run_page(path: Path, folder: Path, stand_ins: Mapping[str, str] | None = None) -> str:
    """Run a page's examples in the folder; return the page with what was printed. Raises ExampleError.

    `stand_ins`: what is put in the place of names that are examples, such as the address of a server.
    """
    page = path.read_text(encoding="utf-8")
    for example_name, real_name in (stand_ins or {}).items():
        page = page.replace(example_name, real_name)
    place = {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", "PATH": f"{_launcher(folder)}:{os.environ['PATH']}"}
    place |= {"DOCS": str(ROOT / "docs"), "CALLIPER_ACTOR": "coordinator"}
    parts, position = [], 0
    variables: dict[str, object] = {"__name__": "__main__"}
    with patch.dict(os.environ, place), contextlib.chdir(folder):
        os.environ.pop("CALLIPER_WORKSPACE", None)
        for example in examples(page):
            parts.append(page[position : example.start])
            position = example.end
            text = example.text
            if example.title:
                Path(example.title).parent.mkdir(parents=True, exist_ok=True)
                Path(example.title).write_text(text, encoding="utf-8")
            elif example.language == "console":
                text = "".join(_console(path.name, text))
            elif example.language == "python":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(text, path.name, "exec"), variables)
            parts.append(text)
    printed = "".join([*parts, page[position:]])
    for example_name, real_name in (stand_ins or {}).items():
        printed = printed.replace(real_name, example_name)
    return printed


def differences(said: str, printed: str) -> list[str]:
    """The lines of a page that are not as printed, times, sizes and hashes aside."""
    return [
        f"page: {old}\nnow:  {new}"
        for old, new in zip(said.splitlines(), printed.splitlines(), strict=False)
        if _lasting(old) != _lasting(new)
    ] + (["the number of lines"] if len(said.splitlines()) != len(printed.splitlines()) else [])


def _console(page: str, block: str) -> Iterator[str]:
    """The block as it is after running it: commands with what they printed."""
    code = 0
    pieces = re.split(r"^\$ ((?:.*\\\n)*.*)\n", block, flags=re.MULTILINE)
    commands = list(zip(pieces[1::2], pieces[2::2], strict=True))
    for number, (command, said) in enumerate(commands):
        if command == "echo $?":
            printed = f"{code}\n"
        else:
            code, printed = _run(command.replace("\\\n", ""))
            expected = commands[number + 1][0] == "echo $?" if number + 1 < len(commands) else False
            if code and not expected:
                raise ExampleError(f"{page}: `{command}` ends with {code}:\n{printed}")
        printed = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
        yield f"$ {command}\n{said if _is_abridged(said, printed) else printed}"


def _is_abridged(said: str, printed: str) -> bool:
    """Whether the page shows a part of what was printed, with `…` for the rest."""
    if "…\n" not in said.splitlines(keepends=True):
        return False
    known = [re.escape(_lasting(line)) for line in said.splitlines()]
    pattern = "\n".join(known).replace(re.escape("…"), r".*").replace("\\\n", "\n")
    return re.fullmatch(pattern, "\n".join(map(_lasting, printed.splitlines())), re.DOTALL) is not None


def _lasting(line: str) -> str:
    return line if line == "…" else re.sub(r"─+", "─", _PASSING.sub(" ", line)).strip()


def _run(command: str) -> tuple[int, str]:
    """A command's exit code and what it prints: `calliper` in this process, everything else by a shell."""
    if command.startswith("export ") and not _SHELL.search(command):
        name, _, value = command.removeprefix("export ").partition("=")
        os.environ[name] = value
        return 0, ""
    words = shlex.split(command)
    if words[0] == "calliper" and not _SHELL.search(command):
        return _calliper(words)
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def _calliper(words: list[str]) -> tuple[int, str]:
    """The command line in this process, which spares the seconds of importing everything again."""
    from calliper.__main__ import main

    printed = io.StringIO()
    with patch.object(sys, "argv", words), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, printed.getvalue()


def _launcher(folder: Path) -> Path:
    """A folder with `calliper` as this Python runs it, for the shell."""
    place = folder / ".bin"
    place.mkdir(exist_ok=True)
    script = place / "calliper"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m calliper "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return place


if __name__ == "__main__":
    for name in sys.argv[1:]:
        folder = Path(tempfile.mkdtemp(prefix="calliper-examples-"))
        text = run_page(Path(name).resolve(), folder)
        Path(name).write_text(text, encoding="utf-8")
        print(f"{name}: run in {folder}")
