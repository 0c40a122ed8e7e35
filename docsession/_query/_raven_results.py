"""What RavenDB's builder returns other than documents: fields by name, and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._query._fields import Documents, field_of
from docsession._query._operands import Operand, Place
from docsession._query._projection import Aggregate, Projection, Selected, into_class, names_of
from docsession._query._query import Specification, but

Q = TypeVar("Q")

_SCALARS: Final = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class GroupByField:
    """A field of groups (RavenDB: GroupByField).

    Attributes:
        field_name: The field.
        projected_name: What it is called in the results; None: the same.
    """

    field_name: str
    projected_name: str | None = None


def select_fields(documents: Documents, projection_class: object, names: Sequence[str]) -> Projection:
    """Return what `select_fields(projection_class, *names)` asks for.

    Raises:
        InvalidArgumentException: There is no such field, here or in the class.
    """
    if not isinstance(projection_class, type):
        raise InvalidArgumentTypeException(
            f"select_fields() takes a class first, as in select_fields(dict, 'name'), not {projection_class!r:.60}"
        )
    fields = [(name, field_of(documents, name)) for name in names]
    if issubclass(projection_class, _SCALARS):
        if len(fields) != 1:
            raise InvalidArgumentException(
                f"select_fields({projection_class.__qualname__}, …) takes one field, whose values it returns"
            )
        return Projection([Selected("", fields[0][1])], lambda values: values[0])
    if projection_class is dict:
        if not fields:
            raise InvalidArgumentException("select_fields(dict, …) takes the names of the fields")
        return as_dicts([("Id" if name == "id()" else name, operand) for name, operand in fields])
    if not fields:
        fields = [(name, field_of(documents, name)) for name in names_of(projection_class)]
    return into_class(projection_class, {_last(name, projection_class): operand for name, operand in fields})


def as_dicts(fields: Sequence[tuple[str, Operand]]) -> Projection:
    """Return what makes a dict of each row."""
    names = [name for name, _ in fields]
    return Projection(
        [Selected(name, operand) for name, operand in fields], lambda values: dict(zip(names, values, strict=True))
    )


def of_type(documents: Documents, asked: Specification, cls: object) -> Projection:
    """Return what makes instances of a class of the results.

    Raises:
        InvalidOperationException: They are no dicts and no documents.
    """
    if not isinstance(cls, type):
        raise InvalidArgumentTypeException(f"of_type() takes a class, not {type(cls).__qualname__}")
    projection = asked.projection
    if projection is None:
        return select_fields(documents, cls, ())
    if not all(column.name for column in projection.columns):
        raise InvalidOperationException("of_type() follows a select_fields(dict, …) or a group_by(), which name fields")
    fields = {column.name: column.operand for column in projection.columns}
    return into_class(cls, fields, grouped=bool(asked.groups))


def _last(name: str, cls: type) -> str:
    """Return the name that a class gives to a field."""
    if name in {"id()", "Id"}:
        return next((each for each in names_of(cls) if each in {"Id", "id"}), name)
    return name.rpartition(".")[2]


class GroupByDocumentQuery(Generic[Q]):
    """Groups of documents, and what is returned of each (RavenDB: GroupByDocumentQuery).

    Made by `group_by` with the names of fields. The results are dicts; `of_type` of the query makes instances.
    """

    __slots__ = ("_documents", "_fields", "_make", "_specification")

    def __init__(
        self,
        documents: Documents,
        specification: Specification,
        make: Callable[[Specification], Q],
        fields: tuple[tuple[str, Operand], ...] = (),
    ) -> None:
        self._documents = documents
        self._specification = specification
        self._make = make
        self._fields = fields

    def select_key(self, field_name: str | None = None, projected_name: str | None = None) -> GroupByDocumentQuery[Q]:
        """Return with each group what it is grouped by.

        Args:
            field_name: One of the fields that are grouped by; None takes all.
            projected_name: What it is called in the results; None: as the field.

        Raises:
            InvalidArgumentException: It is not grouped by that.
        """
        groups = {place.label: place for place in self._specification.groups}
        if field_name is not None and field_name not in groups:
            raise InvalidArgumentException(f"select_key(): {field_name!r} is not grouped by; {', '.join(groups)} is")
        names = list(groups) if field_name is None else [field_name]
        if projected_name is not None and len(names) > 1:
            raise InvalidArgumentException("select_key(projected_name=…) takes one of the fields, by its name")
        keys = tuple((projected_name or name, groups[name]) for name in names)
        return GroupByDocumentQuery(self._documents, self._specification, self._make, (*self._fields, *keys))

    def select_sum(self, field: GroupByField, *fields: GroupByField) -> Q:
        """Return with each group the sums of fields."""
        for each in (field, *fields):
            if not isinstance(each, GroupByField):
                raise InvalidArgumentTypeException(f"select_sum() takes a GroupByField, not {each!r:.60}")
        sums = [
            (each.projected_name or each.field_name, Aggregate("sum", field_of(self._documents, each.field_name)))
            for each in (field, *fields)
        ]
        return self._select(sums)

    def select_count(self, projected_name: str = "count") -> Q:
        """Return with each group how many documents it has."""
        return self._select([(projected_name, Aggregate("count", None))])

    def _select(self, added: Sequence[tuple[str, Operand]]) -> Q:
        return self._make(but(self._specification, projection=as_dicts([*self._fields, *added])))


def grouped(documents: Documents, asked: Specification, names: Sequence[str]) -> Specification:
    """Return what puts the documents into groups by fields.

    Raises:
        InvalidArgumentException: There is no such field, or it belongs to the items of a list.
    """
    places = []
    for name in names:
        place = field_of(documents, name)
        if not isinstance(place, Place):
            raise InvalidArgumentException(f"group_by({name!r}): each document would be a group of its own")
        places.append(place)
    return but(asked, groups=asked.groups + tuple(places))
