"""Exit codes and the errors that a command ends with: plain words, no traceback."""

from __future__ import annotations

import click

FAILED = 1
WRONG_ARGUMENTS = 2
UNREACHABLE = 3
CONFLICT = 4

EXIT_CODES = """\b
Exit codes:
  0    done
  1    something did not work, or was refused (the text says what)
  2    wrong arguments
  3    a service, the broker or the database cannot be reached
  4    already running, or a port is taken
  130  stopped by Ctrl-C
"""


class Failed(click.ClickException):
    """The command did not work; exit code 1."""

    exit_code = FAILED


class Unreachable(click.ClickException):
    """A service, the broker or the database does not answer; exit code 3."""

    exit_code = UNREACHABLE


class Conflict(click.ClickException):
    """It already runs, or something else has the port; exit code 4."""

    exit_code = CONFLICT
