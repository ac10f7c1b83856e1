"""The `moments` group: which module answers which command. A module is imported when its command is used."""

from __future__ import annotations

import os
import sqlite3
import sys
from importlib import import_module

import click

from services.cli.failures import EXIT_CODES, FAILED

_COMMANDS = {
    "up": "services.cli.up:up",
    "serve": "services.cli.serve:serve",
    "send": "services.cli.send:send",
    "watch": "services.cli.watch:watch",
    "backtest": "services.cli.backtest:backtest",
    "why": "services.cli.why:why",
    "keys": "services.cli.keys:keys",
    "users": "services.cli.users:users",
    "templates": "services.cli.catalogue:templates",
    "signals": "services.cli.catalogue:signals",
    "contracts": "services.cli.documents:contracts",
    "spools": "services.cli.spools:spools",
    "audit": "services.cli.audit:audit",
    "migrate": "services.cli.migrate:migrate",
    "test": "services.cli.checks:test",
    "lint": "services.cli.checks:lint",
    "bench": "services.cli.checks:bench",
    "healthy": "services.cli.serve:healthy",
    "demo-traffic": "services.cli.traffic:demo_traffic",
}


class Commands(click.Group):
    """A group whose commands are imported on use, listed in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, the everyday ones first."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, or None."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", prog_name="moments", message="%(prog)s %(version)s")
def moments() -> None:
    """Notice the moments that matter in a customer's journey, at the second they happen.

    Start with `moments up --demo`; every command explains itself with --help.
    """
    if os.environ.get("MOMENTS_TEMPLATES"):
        from services.cli.options import learn_templates

        learn_templates()


def main() -> None:
    """Run the command line; the only way out is an exit code."""
    try:
        moments.main(prog_name="moments", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as ending:
        sys.exit(ending.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except (OSError, sqlite3.Error) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILED)
