"""What index declarations have in common, so that every floor can hold on to them."""

from __future__ import annotations


class IndexDeclaration:
    """An index as a user declares it: the base of `Index`, `Promoted`, `GinIndex`, `Statistics` and their like."""

    __slots__ = ()
