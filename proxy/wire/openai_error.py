"""How OpenAI's API says no; its compatible servers say it the same way."""

from __future__ import annotations

import json

from proxy.wire.format import Rendered


def error_object(status: int, code: str, message: str) -> dict[str, object]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": kind, "param": None, "code": code}


def rendered_error(status: int, code: str, message: str) -> Rendered:
    body = {"error": error_object(status, code, message)}
    return Rendered(status, json.dumps(body, ensure_ascii=False).encode())
