"""Entities, and handlers that keep what they are told."""

from dataclasses import dataclass
from typing import Any

EVENTS = (
    "before_store",
    "after_save_changes",
    "before_delete",
    "before_conversion_to_document",
    "after_conversion_to_document",
    "before_conversion_to_entity",
    "after_conversion_to_entity",
)


@dataclass
class User:
    name: str
    stamp: str = ""
    id: str | None = None


@dataclass
class Entry:
    text: str
    id: str | None = None


@dataclass
class Loose:
    value: Any
    id: str | None = None


class Refusal(Exception):
    pass


def told(owner, *events):
    """Keep what the handlers of *events* are told, as (event, id)."""
    log = []
    for event in events or EVENTS:
        add = getattr(owner, f"add_{event}")
        add(lambda args, event=event: log.append((event, getattr(args, "key", None) or args.document_id)))
    return log
