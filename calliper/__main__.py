"""`calliper` and `python -m calliper`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from types import FrameType

BUG = 1
INTERRUPTED = 130
_interrupted = False
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line. Errors meant for the user are one message; a traceback is shown only with `--debug`."""
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("CALLIPER_DEBUG"))
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    from calliper.app import app

    _note_interruptions()
    try:
        app(args=arguments, prog_name="calliper")
    except BrokenPipeError:
        # The reader of our output has gone; writing to it again at exit would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except BaseException as error:  # the last resort: everything else has been turned into a message before
        if _interrupted or isinstance(error, KeyboardInterrupt):
            _end("Interrupted. Nothing was half written.", INTERRUPTED, debug)
        if isinstance(error, SystemExit):
            raise
        _end(*_message(error), debug)


def _note_interruptions() -> None:
    """Remember Ctrl-C: Typer ends without a word then, and in the midst of an import it becomes an ImportError."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        global _interrupted
        _interrupted = True
        logging.disable()  # what breaks off now is no news
        signal.default_int_handler(number, frame)

    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is ignored under nohup
        signal.signal(signal.SIGINT, interrupt)


def _message(error: BaseException) -> tuple[str, int]:
    from studies.errors import CalliperError, DataError, ModelError, StorageError

    if isinstance(error, CalliperError):
        return str(error), error.exit_code
    if type(error).__module__ == "models.errors":
        unusable = type(error).__name__ == "ModelFileError"
        return str(error), (ModelError if unusable else DataError).exit_code
    if type(error).__module__.startswith("validation."):
        return str(error), DataError.exit_code
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return (
            "The disk is full. Nothing was half written; free some space and try again.",
            StorageError.exit_code,
        )
    if isinstance(error, PermissionError | FileNotFoundError | IsADirectoryError):
        return f"{error.filename}: {error.strerror}.", StorageError.exit_code
    text = f"{type(error).__name__}: {error}"
    return f"This is a bug in Calliper: {text}\nRun the command again with --debug for the details to report.", BUG


def _end(message: str, code: int, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    label = "" if code == INTERRUPTED else "Error: "
    print(f"{label}{message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
