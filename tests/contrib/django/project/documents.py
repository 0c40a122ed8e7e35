"""Found by docsession because of the module's name."""

from dataclasses import dataclass

from docsession import Index, document


@document(indexes=[Index(lambda c: c.city)])
@dataclass
class Customer:
    name: str
    city: str = "Oslo"
    id: str | None = None
