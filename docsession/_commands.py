"""Raw commands, which a user hands to the next save of a session (`session.advanced.defer`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CommandData:
    """What all commands have (RavenDB: CommandData).

    Attributes:
        key: The id of the document.
        change_vector: The version that the save must find; "": the document must not exist; None checks nothing.
    """

    key: str
    change_vector: str | None


@dataclass(frozen=True, slots=True)
class PutCommandDataWithJson(CommandData):
    """Writes a document as it is given, whatever is there (RavenDB: PutCommandDataWithJson).

    Attributes:
        document: The document. Its collection is that of the tracked document with this id, else the one that
            `@metadata` names, else the one whose ids have the prefix of *key*. The other keys of `@metadata` become the
            document's metadata.
    """

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteCommandData(CommandData):
    """Deletes a document (RavenDB: DeleteCommandData); without a change vector one that is not there is fine."""

    change_vector: str | None = None
