"""A command with commands below it: `calliper report STUDY` makes a report, `calliper report protocol` is another."""

from __future__ import annotations

from typing import Any

import typer.core

DEFAULT = "make"


class WithDefault(typer.core.TyperGroup):
    """A group whose command `make` is meant where no other is named. Its help is that of `make`, with the others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        default = self.commands[DEFAULT]
        with default.make_context(ctx.info_name, [], parent=ctx.parent, resilient_parsing=True) as inner:
            default.format_help(inner, formatter)
        self.format_commands(ctx, formatter)
