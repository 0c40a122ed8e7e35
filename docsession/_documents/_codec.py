"""Python object <-> document: one codec per entity class.

For most classes msgspec does all the work, and what it would write wrong is looked for apart. Where
it is not faithful (unions of classes, special values in untyped places, private attrs fields, …) the
class's form writes or reads instead. Either way a document has one shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from docsession._documents._aliases import AliasRegistry
from docsession._documents._anchors import compile_anchors
from docsession._documents._batches import Batch, without_anchors
from docsession._documents._form import Form
from docsession._documents._forms import Forms
from docsession._documents._merge import Anchors
from docsession._documents._mirror import mirror_decoder
from docsession._documents._native import Native, read_with_form
from docsession._documents._objects import ObjectForm, Wrapper
from docsession._documents._places import MisfitError, Path, Recorded, RefusedError, show
from docsession._documents._probes import compile_probe, special_leaf, wrong_leaf
from docsession._documents._state import carrier, find_cycle, id_setter, updater
from docsession._documents._values import write_json
from docsession._errors import DocumentMismatchException, UnsupportedValueException

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_DEPTH: Final = 200
"""How deep lists and objects may be nested in a document; every reader of JSON has such a bound."""

_NOT_IN_DICTS: Final = ("Id", "@metadata")
_DIGITS: Final = bytes(48 if chr(code).isdigit() else code for code in range(128)) + bytes(range(128, 256))
_MANY_DIGITS: Final = 16_000
_EXPONENT: Final = re.compile(rb"[:,\[]-?[\d.]+e\d")
_STRING: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
# Numbers are matched as a whole: looking for the exponent from every digit on would be quadratic.
_TOKEN: Final = re.compile(_STRING + rb"|(-?\d+(?:\.\d+)?)(?:e(\d+))?")
_BRACKET: Final = re.compile(_STRING + rb"|([\[{])|[\]}]")
_write_in_order: Final = msgspec.json.Encoder().encode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Decode(Protocol[T_co]):
    """Reads a document."""

    def __call__(self, key: str, data: bytes, types: Mapping[str, str] | None = None) -> T_co:
        """Return the entity of a document, with its id set.

        Args:
            key: The document's id.
            data: The jsonb as the server sends it: a version byte, then text.
            types: What the metadata's `@types` holds.

        Raises:
            DocumentMismatchException: The document does not fit the class.
        """
        ...


class DocumentCodec(Generic[T]):
    """Turns entities of one class into documents and back.

    Attributes:
        entity_class: The class; `dict` for documents without one.
        id_attribute: The attribute that holds the id; None where instances take none.
        id_key: What the member of the JSON object would be called that holds it.
        snapshot: Returns the canonical form of an entity as it is now, opaque to callers: equal bytes
            mean unchanged. It may hold the id. Raises whatever the value makes msgspec raise; `explain`
            turns that into an error that names the place.
        first_snapshot: The same of an entity that was decoded just now from a document without types,
            which is quicker where the class has untyped places: they hold nothing special yet.
        decode: See `Decode`.
        batch: Reads many documents without types at a time; None for classes of which none can be read so.
        has_anchors: True where `anchors` finds something.
    """

    def __init__(self, cls: type[T], id_attribute: str | None, registry: AliasRegistry) -> None:
        forms = Forms(registry)
        self.entity_class = cls
        self.id_attribute = id_attribute
        is_plain_dict = cls is dict
        self._form: Form = forms.untyped if is_plain_dict else forms.of_class(cls)
        self._is_dict = issubclass(cls, dict)
        self._may_be_no_object = isinstance(self._form, Wrapper)
        native = Native(dict if is_plain_dict else cls, self._form)
        self._native = native
        self._set_id = id_setter(cls, id_attribute)
        self._update = updater(cls, self._form)
        self._carry = carrier(cls, self._form)
        # Where the class declares the id, it is spliced into the text, so that frozen classes get it too.
        id_field = _id_field(self._form, id_attribute)
        self.id_key = id_field or id_attribute
        self._id_member = None if id_field is None else b"," + write_json(id_field) + b":"
        self._id_name = None if self.id_key is None else write_json(self.id_key) + b":"
        self._sets_id_after = id_attribute is not None and (id_field is None or not _is_required(self._form, id_field))
        mirror = mirror_decoder(cls, id_attribute) if id_field is not None and native.decode is not None else None
        self._read_mirror = mirror
        self._refused_tail = () if not self._is_dict else _NOT_IN_DICTS
        self._find_wrong = compile_probe(self._form, wrong_leaf)
        self.snapshot: Callable[[T], bytes] = self._make_snapshot()
        self.first_snapshot: Callable[[T], bytes] = self._make_first_snapshot()
        self.decode: Decode[T] = self._make_decode()
        self._all_anchors = compile_anchors(self._form, untyped=True)
        self._declared_anchors = compile_anchors(self._form, untyped=False)
        self.has_anchors = self._all_anchors is not None
        self.batch = self._make_batch()

    def explain(self, entity: T, key: str, error: Exception) -> UnsupportedValueException:
        """Return the error that says where *entity* holds what cannot be stored.

        Args:
            entity: What `snapshot` raised for.
            key: The document's id.
            error: What it raised.
        """
        if isinstance(error, RefusedError):
            return _unsupported(key, error.path, error.reason)
        try:
            self._write(entity, quick=False)
        except RefusedError as refused:
            return _unsupported(key, refused.path, refused.reason)
        except RecursionError:
            cycle = find_cycle(entity)
            if cycle is not None:
                return _unsupported(key, cycle, "the value contains itself, and a document would have no end")
            return _unsupported(key, (), "the values are nested too deep")
        except Exception as other:
            error = other
        return _unsupported(key, (), f"{type(error).__name__}: {error}")

    def body(self, snapshot: bytes, key: str) -> bytes:
        """Return the document, a JSON object without the id, of a snapshot.

        Args:
            snapshot: What `snapshot` returned.
            key: The id that the entity most likely holds; another one is found as well.
        """
        text = snapshot.partition(b"\0")[0] if self._native.has_untyped or self._native.encode is None else snapshot
        if self._id_name is not None:
            text = self._without_id(text, key)
        # The first look costs a fifth of the second, which a hash with "3e5" in it would trigger.
        if not self._native.keeps_floats and b"0e0" in text.translate(_DIGITS) and _EXPONENT.search(text):
            text = _TOKEN.sub(_write_out, text)
        return text

    def types(self, snapshot: bytes) -> bytes | None:
        """Return JSON {pointer: type name} of the special values of a snapshot, None where there are none."""
        return snapshot.partition(b"\0")[2] or None

    def check(self, entity: T, snapshot: bytes, key: str) -> None:
        """Refuse what can be written, but would be lost or changed.

        Args:
            entity: The entity.
            snapshot: Its snapshot now.
            key: The document's id.

        Raises:
            UnsupportedValueException: Names the place.
        """
        if self._may_be_no_object and not snapshot.startswith(b"{"):
            raise _unsupported(key, (), f"a document is a JSON object, and the root of {self._form.label} is none")
        if self._native.is_deep and snapshot.count(b"[") + snapshot.count(b"{") > MAX_DEPTH:
            self._check_depth(snapshot, key)
        try:
            suspicious = (
                (92 in snapshot and b"\\u0000" in snapshot)  # 92 is the backslash
                or (self._find_wrong is not None and self._find_wrong(entity))
                or self._native.has_nan(entity, snapshot)
                or (self._native.has_decimals and len(snapshot) > _MANY_DIGITS and _has_many_digits(snapshot))
            )
        except Exception:
            # A value of another type than declared, which the form knows how to pass by.
            suspicious = True
        if suspicious:
            try:
                self._write(entity, quick=False)
            except RefusedError as error:
                raise _unsupported(key, error.path, error.reason) from None

    def verify(self, key: str, body: bytes, types: Mapping[str, str] | None) -> None:
        """Refuse a document that could not be loaded again.

        Raises:
            UnsupportedValueException: Names the place, what the class wants there, and what is there.
        """
        if types is None and self._fits_mirror(body):
            return
        try:
            self.decode(key, b"\x01" + body, types)
        except DocumentMismatchException as error:
            raise UnsupportedValueException(
                f"document {key!r} cannot be stored, since it could not be loaded again: "
                f"{_at(error.path)}expected {error.expected}, found {error.found}",
                id=key,
                path=error.path,
            ) from error

    def _fits_mirror(self, body: bytes) -> bool:
        """Return True where the mirror of the class takes *body*; otherwise the class itself says what is wrong."""
        if self._read_mirror is None:
            return False
        try:
            self._read_mirror(body)
        except Exception:
            return False
        return True

    def anchors(self, entity: T, snapshot: bytes | None = None) -> Anchors:
        """Return by which objects a merge recognises where things of the document went.

        Args:
            entity: The entity.
            snapshot: Its snapshot now, if there is one: it says whether untyped places hold any objects.
        """
        has_objects = snapshot is None or b"\0" in snapshot
        find = self._all_anchors if has_objects else self._declared_anchors
        return () if find is None else find(entity)

    def update(self, entity: T, fresh: T) -> None:
        """Let *entity* take the stored state of *fresh*; what is never stored, it keeps."""
        self._update(entity, fresh)

    def carry(self, entity: T, fresh: T, keys: Iterable[str]) -> None:
        """Let *fresh* take the fields of *entity* that are the members *keys* of the document."""
        self._carry(entity, fresh, keys)

    def get_id(self, entity: T) -> object:
        """Return what the entity holds as its id."""
        return None if self.id_attribute is None else getattr(entity, self.id_attribute, None)

    def set_id(self, entity: T, key: str) -> None:
        """Set the entity's id, on a frozen one too, without running validators."""
        self._set_id(entity, key)

    def _make_snapshot(self) -> Callable[[T], bytes]:
        encode, write = self._native.encode, self._write
        if encode is None:
            return write
        if not self._native.has_untyped:
            return encode
        has_special = compile_probe(self._form, special_leaf)
        is_dict, skipped = self._is_dict, self._refused_tail

        def snapshot(entity: Any) -> bytes:
            value = entity
            if is_dict:
                value = entity.copy()
                for name in skipped:
                    value.pop(name, None)
            try:
                text = encode(value)
                needs_types = has_special is not None and has_special(value)
            except Exception:
                return write(entity)
            return write(entity) if needs_types else text

        return snapshot

    def _make_first_snapshot(self) -> Callable[[T], bytes]:
        encode, snapshot, skipped = self._native.encode, self.snapshot, self._refused_tail
        if encode is None or not self._native.has_untyped:
            return snapshot
        if not self._is_dict:
            return encode

        def first_snapshot(entity: Any) -> bytes:
            return snapshot(entity) if any(name in entity for name in skipped) else encode(entity)

        return first_snapshot

    def _write(self, entity: Any, *, quick: bool = True) -> bytes:
        """Return the snapshot that the form makes; unless *quick* with every check."""
        if self._is_dict:
            entity = {name: value for name, value in entity.items() if name not in self._refused_tail}
        records = Recorded(quick=quick)
        text = self._native.write(self._form.encode(entity, None, records))
        return text + b"\0" + write_json(records) if records else text

    def _make_decode(self) -> Decode[T]:
        load, slowly, set_id, write = self._native.decode, self._read_slowly, self._set_id, write_json
        member, sets_id = self._id_member, self._sets_id_after

        def decode_slowly(key: str, data: bytes, types: Mapping[str, str] | None = None) -> T:
            return slowly(key, data[1:], types, None)

        if load is None:
            return decode_slowly

        def decode_with_id(key: str, data: bytes, types: Mapping[str, str] | None = None) -> T:
            if types or len(data) < 4:
                return slowly(key, data[1:], types, None)
            try:
                # The id goes to the end, for the last one of equal members counts.
                entity: T = load(b"".join((data[1:-1], member, write(key), b"}")))  # type: ignore[arg-type]  # only then
            except Exception as error:
                return slowly(key, data[1:], types, error)
            return entity

        def decode(key: str, data: bytes, types: Mapping[str, str] | None = None) -> T:
            if types:
                return slowly(key, data[1:], types, None)
            try:
                entity: T = load(data[1:])
            except Exception as error:
                return slowly(key, data[1:], types, error)
            if sets_id:
                set_id(entity, key)
            return entity

        return decode if member is None or sets_id else decode_with_id

    def _make_batch(self) -> Batch[T] | None:
        native = self._native
        if native.decode_lines is None or native.encode is None or self._is_dict:
            return None
        member, sets_id = self._id_member, self._sets_id_after
        return Batch(
            native.decode_lines,
            native.encode_into,
            self._declared_anchors or without_anchors,
            None if sets_id else member,
            self._set_id if sets_id else None,
        )

    def _read_slowly(self, key: str, text: bytes, types: Mapping[str, str] | None, error: Exception | None) -> T:
        """Read with the form, which knows what is wrong, and takes what msgspec does not."""
        if self._id_member is not None:
            comma = self._id_member if len(text) > 2 else self._id_member[1:]
            text = text[:-1] + comma + write_json(key) + b"}"
        try:
            entity: T = read_with_form(self._form, text, types, exact=self._native.has_decimals)
        except MisfitError as misfit:
            raise _mismatch(key, self.entity_class, misfit) from error or misfit.__cause__ or misfit
        except (msgspec.DecodeError, RecursionError) as broken:
            raise _mismatch(key, self.entity_class, MisfitError("JSON", str(broken))) from broken
        if self.id_attribute is not None:
            self._set_id(entity, key)
        return entity

    def _without_id(self, text: bytes, key: str) -> bytes:
        member = self._id_name + write_json(key)  # type: ignore[operator]  # asked for classes with an id only
        if text.startswith(b"{" + member + b","):
            return b"{" + text[len(member) + 2 :]
        if text.endswith(b"," + member + b"}"):
            return text[: -len(member) - 2] + b"}"
        members = _members(text)
        if self.id_key not in members:
            return text
        del members[self.id_key]
        return _write_in_order(members)

    def _check_depth(self, snapshot: bytes, key: str) -> None:
        depth = 0
        for match in _BRACKET.finditer(snapshot):
            if match[1]:
                depth += 1
                if depth > MAX_DEPTH:
                    raise _unsupported(key, (), f"lists and objects are nested deeper than {MAX_DEPTH} levels")
            elif match[0] in {b"]", b"}"}:
                depth -= 1


def codec_for(cls: type[T], id_attribute: str | None, registry: AliasRegistry) -> DocumentCodec[T]:
    """Return the codec for entities of *cls* whose id is the attribute *id_attribute*.

    Never fails for what a class is made of: what cannot be stored is refused when an entity holds it.
    """
    return DocumentCodec(cls, id_attribute, registry)


def _id_field(form: Form, id_attribute: str | None) -> str | None:
    """Return the JSON key of the declared field that holds the id, None where none does."""
    if not isinstance(form, ObjectForm):
        return None
    # A TypedDict may declare the key under which a dict holds its id.
    name = "Id" if form.is_dict else id_attribute
    return next((key for key, field in form.fields.items() if field.name == name), None)


def _has_many_digits(text: bytes) -> bool:
    return b"0" * _MANY_DIGITS in text.translate(_DIGITS)


def _is_required(form: Form, id_field: str) -> bool:
    return isinstance(form, ObjectForm) and form.fields[id_field].required


def _write_out(match: re.Match[bytes]) -> bytes:
    """Write a float without exponent and with a decimal point, so that it comes back as a float."""
    if match[2] is None:
        return match[0]
    whole, _, fraction = match[1].partition(b".")
    return whole + fraction.ljust(int(match[2]), b"0") + b".0"


def _at(path: str) -> str:
    return f"at {path}: " if path else ""


def _unsupported(key: str, path: Path, reason: str) -> UnsupportedValueException:
    place = show(path)
    return UnsupportedValueException(f"document {key!r} cannot be stored: {_at(place)}{reason}", id=key, path=place)


def _mismatch(key: str, cls: type, misfit: MisfitError) -> DocumentMismatchException:
    place = show(misfit.path)
    return DocumentMismatchException(
        f"document {key!r} does not fit {cls.__qualname__}: {_at(place)}expected {misfit.expected}, "
        f"found {misfit.found}",
        id=key,
        path=place,
        expected=misfit.expected,
        found=misfit.found,
    )
