"""The four kinds of document that the demo stores, and what refers to what.

    Subdivision --country--> Country --currencies--> Currency --country--> Country
    Subdivision --parent---> Subdivision

References are ids. `Ref` names the class that an id leads to, so that an include need not look for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from docsession import Ref


@dataclass
class Country:
    """An entry of ISO 3166-1: `countries/CH`."""

    name: str
    alpha_3: str
    numeric: str
    flag: str
    official_name: str | None = None
    currencies: list[Annotated[str, Ref(Currency)]] = field(default_factory=list)
    id: str | None = None


@dataclass
class Subdivision:
    """A canton, province, state, … of ISO 3166-2: `subdivisions/CH-ZH`."""

    name: str
    kind: str
    country: Annotated[str, Ref(Country)]
    parent: Annotated[str, Ref(Subdivision)] | None = None
    id: str | None = None


@dataclass
class Currency:
    """An entry of ISO 4217: `currencies/CHF`."""

    name: str
    numeric: str
    country: Annotated[str, Ref(Country)] | None = None
    id: str | None = None


@dataclass
class Language:
    """An entry of ISO 639-3: `languages/roh`. Nothing in the list refers to another one."""

    name: str
    scope: str
    kind: str
    alpha_2: str | None = None
    id: str | None = None
