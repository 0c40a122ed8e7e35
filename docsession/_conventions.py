"""What a user sets for a whole store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final, Protocol, TypedDict

from typing_extensions import Unpack, override

from docsession._declarations import IndexDeclaration
from docsession._errors import InvalidArgumentException, InvalidArgumentTypeException, InvalidOperationException
from docsession._options import OptimisticConcurrencyMode, check_timeout

_LONGEST: Final = timedelta.max.total_seconds()


class ShouldIgnoreEntityChanges(Protocol):
    """A rule that keeps changes of some entities from being saved (RavenDB: ShouldIgnoreEntityChanges)."""

    def check(self, session: object, entity: object, document_id: str, /) -> bool:
        """Return True where changes of *entity* are not to be saved."""
        ...


class ConventionSettings(TypedDict, total=False):
    """What `DocumentConventions` takes as keyword arguments: its settable attributes."""

    auto_create: bool
    cluster_wide_timeout: timedelta | float | None
    disable_atomic_document_writes_in_cluster_wide_transaction: bool
    document_id_generator: Callable[[str, object], str] | None
    exact_queries: bool
    find_collection_name: Callable[[type], str | None] | None
    find_identity_property_name: Callable[[type], str | None] | None
    identity_parts_separator: str
    indexes: Mapping[type | str, Iterable[IndexDeclaration]]
    max_cache_size: int
    max_number_of_requests_per_session: int
    node_tag: str
    optimistic_concurrency_mode: OptimisticConcurrencyMode
    page_token_key: str | bytes | None
    record_query_shapes: bool
    request_timeout: timedelta | None
    should_ignore_entity_changes: ShouldIgnoreEntityChanges | None
    slow_query_threshold: timedelta | None
    standby_timeout: float
    transform_class_collection_name_to_document_id_prefix: Callable[[str], str] | None
    use_optimistic_concurrency: bool
    verify_on_save: bool


class DocumentConventions:
    """The conventions of a store (RavenDB: DocumentConventions).

    `DocumentStore(conventions=DocumentConventions(auto_create=False))` is the short way to set some; each is an
    attribute too. What shapes data or SQL is frozen when the store is initialised; limits stay settable.

    Args:
        settings: Any of the attributes and properties below, by name.

    Raises:
        InvalidArgumentTypeException: There is no such convention.
        InvalidArgumentException: A value cannot be used.

    Attributes:
        max_number_of_requests_per_session: How many requests a session may send; 30.
        verify_on_save: True decodes every document that is about to be written with its class first,
            so that one which could not be loaded again is refused; about 4 µs a document.
        should_ignore_entity_changes: A rule that keeps changes of some entities from being saved.
        standby_timeout: Seconds that a load waits for a standby to apply what the session has saved; then the
            primary answers. 0.5; of use with `read_preference`.
    """

    # Whatever else is set is a misspelt setting.
    __slots__ = (
        "__weakref__",
        "_aliases",
        "_auto_create",
        "_cluster_wide_timeout",
        "_disable_atomic_writes",
        "_document_id_generator",
        "_exact_queries",
        "_find_collection_name",
        "_find_identity_property_name",
        "_frozen",
        "_identity_parts_separator",
        "_indexes",
        "_max_cache_size",
        "_node_tag",
        "_optimistic_concurrency_mode",
        "_page_token_key",
        "_record_query_shapes",
        "_request_timeout",
        "_slow_query_threshold",
        "_transform_prefix",
        "max_number_of_requests_per_session",
        "should_ignore_entity_changes",
        "standby_timeout",
        "verify_on_save",
    )

    def __init__(self, **settings: Unpack[ConventionSettings]) -> None:
        self.max_number_of_requests_per_session = 30
        self.verify_on_save = True
        self.standby_timeout = 0.5
        self.should_ignore_entity_changes: ShouldIgnoreEntityChanges | None = None
        self._request_timeout: timedelta | None = None
        self._frozen = False
        self._max_cache_size = 128 * 1024 * 1024
        self._auto_create = True
        self._cluster_wide_timeout: timedelta | None = timedelta(seconds=15)
        self._disable_atomic_writes = False
        self._exact_queries = False
        self._identity_parts_separator = "/"
        self._node_tag = "A"
        self._page_token_key: bytes | None = None
        self._record_query_shapes: bool | None = None
        self._slow_query_threshold: timedelta | None = None
        self._indexes: dict[type | str, tuple[IndexDeclaration, ...]] = {}
        self._optimistic_concurrency_mode: OptimisticConcurrencyMode | None = None
        self._find_collection_name: Callable[[type], str | None] | None = None
        self._find_identity_property_name: Callable[[type], str | None] | None = None
        self._transform_prefix: Callable[[str], str] | None = None
        self._document_id_generator: Callable[[str, object], str] | None = None
        self._aliases: dict[str, type] = {}
        known = sorted(ConventionSettings.__annotations__)
        for name, value in settings.items():
            if name not in known:
                raise InvalidArgumentTypeException(f"there is no convention {name!r}; there are {', '.join(known)}")
            setattr(self, name, value)

    @override
    def __repr__(self) -> str:
        """Name what was set."""
        plain = DocumentConventions()
        names = sorted(ConventionSettings.__annotations__.keys() - {"page_token_key", "use_optimistic_concurrency"})
        given = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}
        if self._record_query_shapes is None:
            given.pop("record_query_shapes", None)
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def freeze(self) -> None:
        """Forbid further changes of what shapes data or SQL; the store calls it when it is initialised."""
        self._frozen = True

    def is_frozen(self) -> bool:
        """Return True once the store that uses these conventions is initialised."""
        return self._frozen

    def _assert_not_frozen(self, name: str) -> None:
        if self._frozen:
            raise InvalidOperationException(
                f"{name} shapes stored data and is frozen once the store is initialised; set it before the first use"
            )

    @property
    def auto_create(self) -> bool:
        """True makes databases and tables on first use; False, for production, leaves that to `docsession upgrade`."""
        return self._auto_create

    @auto_create.setter
    def auto_create(self, value: bool) -> None:
        self._assert_not_frozen("auto_create")
        self._auto_create = value

    @property
    def cluster_wide_timeout(self) -> timedelta | None:
        """How long a cluster-wide save waits for a synchronous standby; 15 seconds.

        It is set to a `timedelta`, to seconds, or to None, which waits as long as it takes.
        """
        return self._cluster_wide_timeout

    @cluster_wide_timeout.setter
    def cluster_wide_timeout(self, value: timedelta | float | None) -> None:
        given: object = value
        if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < _LONGEST:
            given = timedelta(seconds=given)
        if given is not None and not (isinstance(given, timedelta) and given > timedelta(0)):
            raise InvalidArgumentException(
                f"cluster_wide_timeout is a timedelta or a number of seconds above 0, or None, not {value!r:.60}"
            )
        self._cluster_wide_timeout = given

    @property
    def disable_atomic_document_writes_in_cluster_wide_transaction(self) -> bool:
        """True lets cluster-wide saves leave the versions of what they write unchecked; a session may say otherwise."""
        return self._disable_atomic_writes

    @disable_atomic_document_writes_in_cluster_wide_transaction.setter
    def disable_atomic_document_writes_in_cluster_wide_transaction(self, value: bool) -> None:
        self._assert_not_frozen("disable_atomic_document_writes_in_cluster_wide_transaction")
        self._disable_atomic_writes = bool(value)

    @property
    def exact_queries(self) -> bool:
        """True lets `where_equals` and its like compare texts exactly, unless a call says `exact=False`; False."""
        return self._exact_queries

    @exact_queries.setter
    def exact_queries(self, value: bool) -> None:
        self._assert_not_frozen("exact_queries")
        self._exact_queries = bool(value)

    @property
    def identity_parts_separator(self) -> str:
        """What stands between an id's prefix and the rest; one character, "/"."""
        return self._identity_parts_separator

    @identity_parts_separator.setter
    def identity_parts_separator(self, value: str) -> None:
        self._assert_not_frozen("identity_parts_separator")
        if len(value) != 1 or not value.isprintable() or value.isalnum():
            raise InvalidArgumentException(f"identity_parts_separator must be one character like '/', not {value!r}")
        self._identity_parts_separator = value

    @property
    def indexes(self) -> Mapping[type | str, Iterable[IndexDeclaration]]:
        """Class, or name of a collection -> indexes of its documents, beside those that the class declares.

        For classes that one does not own, and for documents without one.
        """
        return self._indexes

    @indexes.setter
    def indexes(self, value: Mapping[type | str, Iterable[IndexDeclaration]]) -> None:
        self._assert_not_frozen("indexes")
        given: object = value
        if not isinstance(given, Mapping) or not all(isinstance(key, (type, str)) for key in given):
            raise InvalidArgumentTypeException(
                f"indexes are given by class or collection, as in {{Order: [Index(lambda o: o.company)]}}, "
                f"not {value!r:.60}"
            )
        declared = {key: tuple(each) if isinstance(each, Iterable) else (each,) for key, each in given.items()}
        for key, each in declared.items():
            if not all(isinstance(index, IndexDeclaration) for index in each):
                name = key if isinstance(key, str) else key.__qualname__
                raise InvalidArgumentTypeException(f"indexes of {name} are declared by Index and its like, not {each}")
        self._indexes = declared

    @property
    def max_cache_size(self) -> int:
        """Bytes that the store may keep of documents it has read; 128 MiB. 0 turns the cache off.

        Python's overhead is counted in. It may be set at any time; a smaller one holds from the next document
        that is kept on. (RavenDB: max_http_cache_size)
        """
        return self._max_cache_size

    @max_cache_size.setter
    def max_cache_size(self, value: int) -> None:
        given: object = value
        if type(given) is not int:
            raise InvalidArgumentTypeException(f"max_cache_size is a number of bytes, not {given!r:.40}")
        if value < 0:
            raise InvalidArgumentException(f"max_cache_size is a number of bytes, 0 or more, not {value}")
        self._max_cache_size = value

    @property
    def node_tag(self) -> str:
        """What generated ids end in, as the A of `companies/1-A`."""
        return self._node_tag

    @node_tag.setter
    def node_tag(self, value: str) -> None:
        self._assert_not_frozen("node_tag")
        if not (value.isascii() and value.isalnum()):
            raise InvalidArgumentException(f"node_tag must be ASCII letters or digits, not {value!r}")
        self._node_tag = value

    @property
    def slow_query_threshold(self) -> timedelta | None:
        """How long a query may take before the logger `docsession.query` warns of it; None, the default, never warns.

        The warning has the SQL without its values, how long it took and the line that asked.
        """
        return self._slow_query_threshold

    @slow_query_threshold.setter
    def slow_query_threshold(self, value: timedelta | None) -> None:
        given: object = value
        if given is not None and not isinstance(given, timedelta):
            raise InvalidArgumentTypeException(f"slow_query_threshold is a timedelta or None, not {given!r:.40}")
        if value is not None and value < timedelta(0):
            raise InvalidArgumentException(f"slow_query_threshold is no time below 0, as {value!r} is")
        self._slow_query_threshold = value

    @property
    def page_token_key(self) -> bytes | None:
        """What page tokens are signed with, so that nobody makes up positions; None signs nothing.

        It has 16 bytes or more, is the same for all processes that share tokens, and is never shown.
        """
        return self._page_token_key

    @page_token_key.setter
    def page_token_key(self, value: str | bytes | None) -> None:
        given: object = value
        if given is not None and not isinstance(given, (str, bytes)):
            raise InvalidArgumentTypeException(
                f"page_token_key is bytes, a str or None, not {type(given).__qualname__}"
            )
        key = value.encode() if isinstance(value, str) else value
        if key is not None and len(key) < 16:
            raise InvalidArgumentException("page_token_key must have 16 bytes or more, as from secrets.token_bytes(32)")
        self._page_token_key = key

    @property
    def record_query_shapes(self) -> bool:
        """True counts what queries look like, without their values, for `docsession indexes`; as `auto_create` is.

        The counts are kept in the table `docsession_query_shapes`, to which they are added when the store is closed and
        every few minutes, in the wake of a query.
        """
        return self._auto_create if self._record_query_shapes is None else self._record_query_shapes

    @record_query_shapes.setter
    def record_query_shapes(self, value: bool) -> None:
        self._assert_not_frozen("record_query_shapes")
        self._record_query_shapes = bool(value)

    @property
    def optimistic_concurrency_mode(self) -> OptimisticConcurrencyMode:
        """What sessions check that do not say so themselves; NONE."""
        return self._optimistic_concurrency_mode or OptimisticConcurrencyMode.NONE

    @optimistic_concurrency_mode.setter
    def optimistic_concurrency_mode(self, value: OptimisticConcurrencyMode) -> None:
        self._assert_not_frozen("optimistic_concurrency_mode")
        given: object = value
        if not isinstance(given, OptimisticConcurrencyMode):
            raise InvalidArgumentTypeException(
                f"optimistic_concurrency_mode is an OptimisticConcurrencyMode, not {given!r:.60}"
            )
        self._optimistic_concurrency_mode = value

    @property
    def request_timeout(self) -> timedelta | None:
        """How long the server may work on one statement; None is what the server has set for the role.

        It may be changed at any time. `store.set_request_timeout()` goes before it, and
        `SessionOptions.statement_timeout` before that.
        """
        return self._request_timeout

    @request_timeout.setter
    def request_timeout(self, value: timedelta | None) -> None:
        self._request_timeout = check_timeout("request_timeout", value)

    @property
    def use_optimistic_concurrency(self) -> bool:
        """The same setting in RavenDB's older words; True is the mode WRITES."""
        return self.optimistic_concurrency_mode is not OptimisticConcurrencyMode.NONE

    @use_optimistic_concurrency.setter
    def use_optimistic_concurrency(self, value: bool) -> None:
        self.optimistic_concurrency_mode = OptimisticConcurrencyMode.WRITES if value else OptimisticConcurrencyMode.NONE

    @property
    def find_collection_name(self) -> Callable[[type], str | None] | None:
        """Class -> collection name; None, or a result of None, takes the English plural of the class name."""
        return self._find_collection_name

    @find_collection_name.setter
    def find_collection_name(self, value: Callable[[type], str | None] | None) -> None:
        self._assert_not_frozen("find_collection_name")
        self._find_collection_name = value

    @property
    def find_identity_property_name(self) -> Callable[[type], str | None] | None:
        """Class -> name of the attribute that holds the id; None, or a result of None, takes `Id` or `id`."""
        return self._find_identity_property_name

    @find_identity_property_name.setter
    def find_identity_property_name(self, value: Callable[[type], str | None] | None) -> None:
        self._assert_not_frozen("find_identity_property_name")
        self._find_identity_property_name = value

    @property
    def transform_class_collection_name_to_document_id_prefix(self) -> Callable[[str], str] | None:
        """Collection name -> prefix of generated ids; None takes lower case if there is at most one capital."""
        return self._transform_prefix

    @transform_class_collection_name_to_document_id_prefix.setter
    def transform_class_collection_name_to_document_id_prefix(self, value: Callable[[str], str] | None) -> None:
        self._assert_not_frozen("transform_class_collection_name_to_document_id_prefix")
        self._transform_prefix = value

    @property
    def document_id_generator(self) -> Callable[[str, object], str] | None:
        """(database, entity) -> id of a new entity; None takes HiLo ranges."""
        return self._document_id_generator

    @document_id_generator.setter
    def document_id_generator(self, value: Callable[[str, object], str] | None) -> None:
        self._assert_not_frozen("document_id_generator")
        self._document_id_generator = value

    @property
    def aliases(self) -> dict[str, type]:
        """The classes that stored data may name, by the alias it names them by."""
        return dict(self._aliases)

    def register(self, cls: type, alias: str | None = None) -> None:
        """Let values of *cls* stand in untyped places, under *alias* (the class's name by default).

        Raises:
            InvalidArgumentException: Another class has that alias, or it is no name.
        """
        self._assert_not_frozen("register")
        name = cls.__name__ if alias is None else alias
        if not name.strip() or not name.isprintable():
            raise InvalidArgumentException(f"{name!r:.80} cannot be the alias of {cls.__qualname__}")
        if self._aliases.setdefault(name, cls) is not cls:
            raise InvalidArgumentException(f"the alias {name!r} belongs to {self._aliases[name].__qualname__} already")
