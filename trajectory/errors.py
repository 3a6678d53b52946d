"""Every error class of ironcage. Each says whose fault it is; a refusal by policy is a value, not an error."""

from __future__ import annotations

from typing import ClassVar


class IroncageError(Exception):
    """Something went wrong that is not our own bug. `str(e)` says what, `hint` says what to do about it."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ClientError(IroncageError):
    """The client sent something that cannot be served (4xx)."""

    code = "client_error"


class UpstreamError(IroncageError):
    """The model or tool behind the proxy refused, stalled or broke (502, 504)."""

    code = "upstream_error"


class OperatorError(IroncageError):
    """Settings, flags or files cannot be used (exit code 2)."""

    code = "operator_error"


class StoreError(IroncageError):
    """The store cannot be opened, read or written (exit code 3)."""

    code = "store_error"


class CageError(IroncageError):
    """The cage of a run could not be set up or was lost."""

    code = "cage_error"


class TapeMissError(IroncageError):
    """The tape holds no answer for a call; `hint` names the nearest recordings."""

    code = "tape_miss"


class FormatError(IroncageError):
    """Bytes do not follow the format that they claim to follow."""

    code = "format_error"
