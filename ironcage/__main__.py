"""`ironcage` and `python -m ironcage`: exit codes and the two lines of an error."""

from __future__ import annotations

import logging
import sys

import typer

from ironcage.cli import app
from trajectory.errors import IroncageError, OperatorError, StoreError, UpstreamError

log = logging.getLogger("ironcage")

FINE, FINDING, OPERATOR, ELSEWHERE, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: list[str] | None = None) -> None:
    """Exit codes: 0 fine, 1 finding, 2 operator error, 3 upstream or store failure, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="ironcage", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as e:
        message: str = getattr(e, "format_message", e.__str__)()
        message = message.replace(": Value error, ", ": ")  # a word of pydantic's, which tells nobody anything
        return _say(OperatorError(message, hint="add --help to see what there is"))
    except IroncageError as e:
        return _say(e)
    except Exception:  # the last of three broad excepts: a bug of ours, shown whole
        log.exception("this is a bug in ironcage; please report it with the lines above")
        return ELSEWHERE
    return result if isinstance(result, int) else FINE


def _say(error: IroncageError) -> int:
    """What, and what to do."""
    print(f"ironcage: {error}", file=sys.stderr)  # noqa: T201 - the command line's own last word
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)  # noqa: T201
    if isinstance(error, StoreError | UpstreamError):
        return ELSEWHERE
    return OPERATOR if isinstance(error, OperatorError) else FINDING


if __name__ == "__main__":
    main()
