"""What PostgreSQL's jsonb makes of a JSON text, without PostgreSQL."""

from __future__ import annotations

import json
from decimal import Decimal


def stored(text: bytes) -> bytes:
    """Return *text* as the server sends it back: a version byte, then jsonb's spacing, key order and numbers."""
    return b"\x01" + _write(json.loads(text, parse_float=Decimal)).encode()


def _write(value: object) -> str:
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return "{" + ", ".join(f"{_write(key)}: {_write(each)}" for key, each in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.removeprefix("-") if not value else text
    return json.dumps(value, ensure_ascii=False)
