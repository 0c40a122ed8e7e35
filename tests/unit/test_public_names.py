"""The public names are a promise: a list that only grows, and two faces with the same signatures."""

import inspect
import re
import typing

import pytest

import docsession
from docsession import _errors

NAMES = [
    "AdvancedSession",
    "AfterConversionToDocumentEventArgs",
    "AfterConversionToEntityEventArgs",
    "AfterSaveChangesEventArgs",
    "AsyncAdvancedSession",
    "AsyncBatch",
    "AsyncClusterTransactionOperations",
    "AsyncDocumentQuery",
    "AsyncDocumentSession",
    "AsyncDocumentStore",
    "AsyncEagerSessionOperations",
    "AsyncLazy",
    "AsyncLazyClusterTransactionOperations",
    "AsyncLazyLoaderWithInclude",
    "AsyncLazySessionOperations",
    "AsyncLoaderWithInclude",
    "AsyncMaintenance",
    "AsyncOperationExecutor",
    "AsyncRawDocumentQuery",
    "AsyncReturningQuery",
    "AsyncSessionTransaction",
    "AuthenticationException",
    "Batch",
    "BeforeConversionToDocumentEventArgs",
    "BeforeConversionToEntityEventArgs",
    "BeforeDeleteEventArgs",
    "BeforeQueryEventArgs",
    "BeforeRawQueryEventArgs",
    "BeforeRequestEventArgs",
    "BeforeStoreEventArgs",
    "ChangeType",
    "ClusterTransactionConcurrencyException",
    "ClusterTransactionOperations",
    "CollectionMismatchException",
    "CommandData",
    "CompareExchangeConflict",
    "CompareExchangeResult",
    "CompareExchangeValue",
    "ConcurrencyException",
    "ConditionalLoadResult",
    "Conflict",
    "ConflictException",
    "ConnectionFailedException",
    "ConnectionLostException",
    "ConversionException",
    "DatabaseDoesNotExistException",
    "DeleteCommandData",
    "DeleteCompareExchangeValueOperation",
    "DocSessionError",
    "DocumentConventions",
    "DocumentDoesNotExistException",
    "DocumentJson",
    "DocumentMismatchException",
    "DocumentQuery",
    "DocumentQueryCustomization",
    "DocumentSession",
    "DocumentStore",
    "DocumentsChanges",
    "EagerSessionOperations",
    "EmbeddedServer",
    "EmbeddedServerException",
    "EventLoopException",
    "FacetValue",
    "FailedRequestEventArgs",
    "ForeignKeyViolation",
    "FullText",
    "GetCompareExchangeValueOperation",
    "GetCompareExchangeValuesOperation",
    "GinIndex",
    "GroupByDocumentQuery",
    "GroupByField",
    "IncludeBuilder",
    "IncompatibleSchemaException",
    "Index",
    "IndexDeclaration",
    "IndexedValueTooLongException",
    "InvalidArgumentException",
    "InvalidArgumentTypeException",
    "InvalidOperationException",
    "InvalidPageTokenException",
    "Lazy",
    "LazyClusterTransactionOperations",
    "LazyLoaderWithInclude",
    "LazySessionOperations",
    "LoaderWithInclude",
    "Maintenance",
    "MetadataAsDictionary",
    "MigrationException",
    "MissingDependencyException",
    "MultipleResultsException",
    "NoResultException",
    "NonUniqueObjectException",
    "NullsOrdering",
    "OperationExecutor",
    "OptimisticConcurrencyMode",
    "OrderingType",
    "Page",
    "PatchOperation",
    "PermissionDeniedException",
    "PoolTimeoutException",
    "Promoted",
    "PutCommandDataWithJson",
    "PutCompareExchangeValueOperation",
    "Query",
    "QueryJson",
    "QueryOperator",
    "QueryPlan",
    "QueryResult",
    "QuerySql",
    "QueryStatistics",
    "QueryTimings",
    "RavenException",
    "RawDocumentQuery",
    "ReadPreference",
    "Ref",
    "ReplicationTimeoutException",
    "RequestDescription",
    "RequestExecutor",
    "RequestTimeoutException",
    "ResponseTimeInformation",
    "ReturningQuery",
    "SearchOperator",
    "SessionBusyException",
    "SessionClosedException",
    "SessionClosingEventArgs",
    "SessionCreatedEventArgs",
    "SessionOptions",
    "SessionTransaction",
    "ShouldIgnoreEntityChanges",
    "Statistics",
    "StoreClosedException",
    "StoreStatistics",
    "SucceedRequestEventArgs",
    "TableDoesNotExistException",
    "TooManyRequestsException",
    "TransactionMode",
    "TransactionRetryException",
    "Trigram",
    "UniqueConstraintViolation",
    "UnknownOutcomeException",
    "UnsupportedValueException",
    "Value",
    "VectorIndex",
    "all_",
    "all_of",
    "any_",
    "append",
    "assert_uses_index",
    "avg",
    "between",
    "contains",
    "contains_all",
    "contains_any",
    "count",
    "desc",
    "distance",
    "document",
    "ends_with",
    "exists",
    "given",
    "highlight",
    "id_",
    "in_",
    "increment",
    "len_",
    "matches",
    "max_",
    "meta",
    "min_",
    "nearest",
    "not_",
    "parameter",
    "rank",
    "remove",
    "rename",
    "search",
    "set_",
    "starts_with",
    "sum_",
    "upcaster",
    "uuid7",
    "uuid7_ids",
    "value",
]

# Blocking, async.
FACES = [
    (docsession.DocumentStore, docsession.AsyncDocumentStore),
    (docsession.DocumentSession, docsession.AsyncDocumentSession),
    (docsession.AdvancedSession, docsession.AsyncAdvancedSession),
    (docsession.LoaderWithInclude, docsession.AsyncLoaderWithInclude),
    (docsession.Maintenance, docsession.AsyncMaintenance),
    (docsession.ClusterTransactionOperations, docsession.AsyncClusterTransactionOperations),
    (docsession.LazyClusterTransactionOperations, docsession.AsyncLazyClusterTransactionOperations),
    (docsession.EagerSessionOperations, docsession.AsyncEagerSessionOperations),
    (docsession.OperationExecutor, docsession.AsyncOperationExecutor),
    (docsession.Lazy, docsession.AsyncLazy),
    (docsession.DocumentQuery, docsession.AsyncDocumentQuery),
    (docsession.RawDocumentQuery, docsession.AsyncRawDocumentQuery),
    (docsession.ReturningQuery, docsession.AsyncReturningQuery),
    (docsession.LazySessionOperations, docsession.AsyncLazySessionOperations),
    (docsession.LazyLoaderWithInclude, docsession.AsyncLazyLoaderWithInclude),
    (docsession.Batch, docsession.AsyncBatch),
    (docsession.SessionTransaction, docsession.AsyncSessionTransaction),
]

QUERIED = {
    "all",
    "first",
    "first_or_default",
    "first_or_none",
    "one",
    "one_or_none",
    "single",
    "single_or_default",
}

# What asks the server, or may; everything else is a plain method on both faces.
AWAITED = {
    "AsyncDocumentStore": {"initialize", "close", "run"},
    "AsyncDocumentSession": {"load_json", "store", "load", "save_changes", "close"},
    "AsyncAdvancedSession": {
        "begin",
        "commit",
        "conditional_load",
        "edit",
        "exists",
        "load_starting_with",
        "refresh",
        "rollback",
        "rolled_back",
    },
    "AsyncClusterTransactionOperations": {
        "get_compare_exchange_value",
        "get_compare_exchange_values",
        "get_compare_exchange_values_starting_with",
    },
    "AsyncLazyClusterTransactionOperations": set(),
    "AsyncLazy": set(),
    "AsyncDocumentQuery": QUERIED
    | {
        "any",
        "avg",
        "count",
        "delete",
        "explain",
        "facets",
        "get_query_result",
        "json",
        "max_",
        "min_",
        "page",
        "patch",
        "sql",
        "sum_",
    },
    "AsyncRawDocumentQuery": QUERIED | {"any", "count"},
    "AsyncReturningQuery": {"delete", "patch"},
    "AsyncLazySessionOperations": set(),
    "AsyncLazyLoaderWithInclude": set(),
    "AsyncBatch": set(),
    "AsyncSessionTransaction": set(),
    "AsyncEagerSessionOperations": {"execute_all_pending_lazy_operations"},
    "AsyncOperationExecutor": {"send"},
    "AsyncLoaderWithInclude": {"load"},
    "AsyncMaintenance": {
        "create_database",
        "create_indexes",
        "drop_undeclared_indexes",
        "delete_database",
        "get_collection_statistics",
        "get_database_names",
        "get_identities",
        "next_identity_for",
        "seed_identity_for",
    },
}

# What RavenDB's client calls them, in its order; further ones may follow, by name.
RAVENDB = {
    docsession.DocumentStore.__init__: "self, urls, database",
    docsession.DocumentStore.open_session: "self, database, session_options",
    docsession.DocumentSession.store: "self, entity, key, change_vector",
    docsession.DocumentSession.load: "self, key_or_keys, object_type, includes",
    docsession.DocumentSession.delete: "self, key_or_entity, expected_change_vector",
    docsession.DocumentSession.include: "self, path",
    docsession.DocumentSession.save_changes: "self",
    docsession.DocumentSession.close: "self",
    docsession.AdvancedSession.is_loaded: "self, key",
    docsession.AdvancedSession.has_changed: "self, entity",
    docsession.AdvancedSession.has_changes: "self",
    docsession.AdvancedSession.exists: "self, key",
    docsession.AdvancedSession.get_document_id: "self, entity",
    docsession.AdvancedSession.get_metadata_for: "self, entity",
    docsession.AdvancedSession.get_change_vector_for: "self, entity",
    docsession.AdvancedSession.get_last_modified_for: "self, entity",
    docsession.AdvancedSession.register_for_concurrency_check: "self, key, change_vector",
    docsession.AdvancedSession.evict: "self, entity",
    docsession.AdvancedSession.clear: "self",
    docsession.AdvancedSession.refresh: "self, entity",
    docsession.AdvancedSession.ignore_changes_for: "self, entity",
    docsession.AdvancedSession.what_changed: "self",
    docsession.AdvancedSession.what_changed_for: "self, entity",
    docsession.AdvancedSession.get_tracked_entities: "self",
    docsession.AdvancedSession.conditional_load: "self, key, change_vector, object_type",
    docsession.AdvancedSession.load_starting_with: (
        "self, id_prefix, object_type, matches, start, page_size, exclude, start_after"
    ),
    docsession.ClusterTransactionOperations.create_compare_exchange_value: "self, key, item",
    docsession.ClusterTransactionOperations.get_compare_exchange_value: "self, key, object_type",
    docsession.ClusterTransactionOperations.get_compare_exchange_values: "self, keys, object_type",
    docsession.ClusterTransactionOperations.get_compare_exchange_values_starting_with: (
        "self, starts_with, start, page_size, object_type"
    ),
    docsession.ClusterTransactionOperations.delete_compare_exchange_value: "self, item_or_key, index",
    docsession.ClusterTransactionOperations.clear: "self",
    docsession.ClusterTransactionOperations.is_tracked: "self, key",
    docsession.LazyClusterTransactionOperations.get_compare_exchange_value: "self, key, object_type",
    docsession.LazyClusterTransactionOperations.get_compare_exchange_values: "self, keys, object_type",
    docsession.LazySessionOperations.load: "self, ids, object_type, on_eval",
    docsession.LazySessionOperations.load_starting_with: (
        "self, id_prefix, object_type, matches, start, page_size, exclude, start_after"
    ),
    docsession.LazySessionOperations.conditional_load: "self, key, change_vector, object_type",
    docsession.LazySessionOperations.include: "self, path",
    docsession.LazyLoaderWithInclude.load: "self, ids, object_type",
    docsession.DocumentQuery.lazily: "self, on_eval",
    docsession.DocumentQuery.count_lazily: "self",
    docsession.EagerSessionOperations.execute_all_pending_lazy_operations: "self",
    docsession.OperationExecutor.send: "self, operation",
    docsession.OperationExecutor.for_database: "self, database",
    docsession.CompareExchangeValue.__init__: "self, key, index, value, metadata",
    docsession.PutCompareExchangeValueOperation.__init__: "self, key, value, index, metadata",
    docsession.GetCompareExchangeValueOperation.__init__: "self, key, object_type",
    docsession.GetCompareExchangeValuesOperation.__init__: "self, keys, object_type",
    docsession.DeleteCompareExchangeValueOperation.__init__: "self, key, index",
    docsession.LoaderWithInclude.include: "self, path",
    docsession.DocumentStore.add_before_store: "self, event",
    docsession.DocumentStore.remove_before_store: "self, event",
    docsession.DocumentStore.add_on_session_creation: "self, event",
    docsession.DocumentStore.add_before_close: "self, event",
    docsession.DocumentSession.add_session_closing: "self, event",
    docsession.DocumentSession.remove_session_closing: "self, event",
    docsession.BeforeStoreEventArgs.__init__: "self, session, document_id, entity",
    docsession.AfterSaveChangesEventArgs.__init__: "self, session, document_id, entity",
    docsession.BeforeDeleteEventArgs.__init__: "self, session, key, entity",
    docsession.BeforeQueryEventArgs.__init__: "self, session, query_customization",
    docsession.BeforeConversionToDocumentEventArgs.__init__: "self, key, entity, session",
    docsession.AfterConversionToDocumentEventArgs.__init__: "self, session, key, entity, document",
    docsession.BeforeConversionToEntityEventArgs.__init__: "self, session, key, object_type, document",
    docsession.AfterConversionToEntityEventArgs.__init__: "self, session, key, document, entity",
    docsession.SessionCreatedEventArgs.__init__: "self, session",
    docsession.SessionClosingEventArgs.__init__: "self, session",
    docsession.BeforeRequestEventArgs.__init__: "self, database, url, request, attempt_number",
    docsession.FailedRequestEventArgs.__init__: "self, database, url, exception",
    docsession.LoaderWithInclude.load: "self, id_or_ids, object_type",
    docsession.IncludeBuilder.include_documents: "self, path",
    docsession.SessionOptions.__init__: (
        "self, database, no_tracking, no_caching, request_executor, transaction_mode, "
        "disable_atomic_document_writes_in_cluster_wide_transaction, optimistic_concurrency_mode"
    ),
}


def public_members(cls):
    names = {name for name in dir(cls) if not name.startswith("_")}
    return {name: inspect.getattr_static(cls, name) for name in names}


def twin_of(text):
    """An annotation of the async face, in the blocking face's words."""
    text = re.sub(r"Awaitable\[[^][]*\] \| ", "", text)  # a function of the user's that may be awaited
    text = re.sub(r"(Callable\[\[\w+\], )Awaitable\[(\w+)\]", r"\1\2", text)  # one that is awaited
    return re.sub(r"^Awaitable\[(.*)\]$", r"\1", text).replace("Async", "")


def signature(function):
    """Name, kind, default and annotation of each parameter, and the annotation of the result."""
    found = inspect.signature(function)
    parameters = [
        (each.name, each.kind, each.default, twin_of(str(each.annotation))) for each in found.parameters.values()
    ]
    return parameters, twin_of(str(found.return_annotation))


def overloads_of(function):
    return [signature(each) for each in typing.get_overloads(function)]


class TestNames:
    def test_the_list_is_exactly_this(self):
        assert docsession.__all__ == NAMES

    def test_every_name_exists_and_is_documented(self):
        for name in NAMES:
            value = getattr(docsession, name)
            assert inspect.getdoc(value), name

    def test_star_import_brings_these_and_no_more(self):
        namespace = {}
        exec("from docsession import *", namespace)
        assert sorted(namespace.keys() - {"__builtins__"}) == NAMES

    def test_every_module_is_private(self):
        modules = {name for name, value in vars(docsession).items() if inspect.ismodule(value)}
        assert {name for name in modules if not name.startswith("_")} <= {"contrib", "testing"}

    def test_every_error_of_the_tree_is_public(self):
        errors = {
            name
            for name, value in vars(_errors).items()
            if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
        }
        assert errors <= set(NAMES)

    def test_every_public_method_is_documented(self):
        for pair in FACES:
            for cls in pair:
                for name, member in public_members(cls).items():
                    assert inspect.getdoc(member), f"{cls.__name__}.{name}"

    def test_nothing_else_is_reachable_from_an_instance(self):
        for pair in FACES:
            for cls in pair:
                assert not any(hasattr(base, "__getattr__") for base in cls.__mro__), cls


class TestFaces:
    @pytest.mark.parametrize(("blocking", "async_"), FACES, ids=lambda cls: cls.__name__)
    def test_they_have_the_same_members(self, blocking, async_):
        assert public_members(blocking).keys() == public_members(async_).keys()

    @pytest.mark.parametrize(("blocking", "async_"), FACES, ids=lambda cls: cls.__name__)
    def test_with_the_same_signatures(self, blocking, async_):
        others = public_members(async_)
        for name, member in (public_members(blocking) | {"__init__": blocking.__init__}).items():
            other = others.get(name, getattr(async_, name))
            if isinstance(member, property):
                assert isinstance(other, property), name
                assert (member.fset is None) == (other.fset is None), name
                assert signature(member.fget) == signature(other.fget), name
            elif callable(member):
                assert signature(member) == signature(other), name
                assert overloads_of(member) == overloads_of(other), name

    @pytest.mark.parametrize(("blocking", "async_"), FACES, ids=lambda cls: cls.__name__)
    def test_what_asks_the_server_is_awaited(self, blocking, async_):
        awaited = {name for name, member in public_members(async_).items() if inspect.iscoroutinefunction(member)}
        assert awaited == AWAITED[async_.__name__]
        assert not any(inspect.iscoroutinefunction(member) for member in public_members(blocking).values())

    def test_both_are_context_managers(self):
        for blocking, async_ in FACES[:2]:
            assert hasattr(blocking, "__enter__")
            assert hasattr(blocking, "__exit__")
            assert hasattr(async_, "__aenter__")
            assert hasattr(async_, "__aexit__")
            assert not hasattr(async_, "__enter__")


class TestSettings:
    @pytest.mark.parametrize(
        ("cls", "name"),
        [
            (docsession.DocumentSession, "use_optimistic_concurrency"),
            (docsession.AsyncDocumentSession, "use_optimistic_concurrency"),
            (docsession.AdvancedSession, "use_optimistic_concurency"),
            (docsession.AsyncAdvancedSession, "use_optimistic_concurency"),
            (docsession.LoaderWithInclude, "includes"),
            (docsession.AsyncLoaderWithInclude, "includes"),
            (docsession.IncludeBuilder, "include"),
            (docsession.Maintenance, "databases"),
            (docsession.AsyncMaintenance, "databases"),
            (docsession.DocumentConventions, "max_requests"),
            (docsession.SessionOptions, "tracking"),
        ],
    )
    def test_one_that_does_not_exist_cannot_be_set(self, cls, name):
        instance = cls.__new__(cls)
        with pytest.raises(AttributeError, match=name):
            setattr(instance, name, True)


class TestRavenDBsWords:
    @pytest.mark.parametrize(
        ("function", "expected"), RAVENDB.items(), ids=lambda each: getattr(each, "__qualname__", "")
    )
    def test_arguments_have_its_names_and_order(self, function, expected):
        parameters = list(inspect.signature(function).parameters)
        wanted = expected.split(", ")
        assert parameters[: len(wanted)] == wanted

    @pytest.mark.parametrize(
        "name",
        [
            "has_changes",
            "has_changed",
            "what_changed",
            "what_changed_for",
            "is_loaded",
            "evict",
            "clear",
            "refresh",
            "exists",
            "ignore_changes_for",
            "get_metadata_for",
            "get_change_vector_for",
            "get_last_modified_for",
            "get_document_id",
            "get_tracked_entities",
            "number_of_requests",
            "use_optimistic_concurrency",
            "optimistic_concurrency_mode",
            "register_for_concurrency_check",
            "conditional_load",
            "load_starting_with",
        ],
    )
    def test_advanced_has_what_is_needed_less_often(self, name):
        assert hasattr(docsession.AdvancedSession, name)
        assert hasattr(docsession.AsyncAdvancedSession, name)

    def test_the_modes_have_its_values(self):
        assert {mode.name: mode.value for mode in docsession.OptimisticConcurrencyMode} == {
            "NONE": "None",
            "WRITES": "Writes",
            "WRITES_AND_READS": "WritesAndReads",
        }
        assert {mode.name: mode.value for mode in docsession.TransactionMode} == {
            "SINGLE_NODE": "SingleNode",
            "CLUSTER_WIDE": "ClusterWide",
        }


class TestErrors:
    def test_each_has_a_code_of_its_own(self):
        codes = {}
        for name in NAMES:
            cls = getattr(docsession, name)
            if isinstance(cls, type) and issubclass(cls, docsession.DocSessionError):
                codes.setdefault(cls.code, []).append(name)
                assert isinstance(cls.retryable, bool)
        assert all(len(names) == 1 for names in codes.values()), codes

    @pytest.mark.parametrize(
        ("error", "caught_as"),
        [
            (docsession.RavenException, RuntimeError),
            (docsession.ConcurrencyException, docsession.ConflictException),
            (docsession.ConflictException, docsession.RavenException),
            (docsession.InvalidOperationException, RuntimeError),
            (docsession.NonUniqueObjectException, docsession.InvalidOperationException),
            (docsession.SessionClosedException, RuntimeError),
            (docsession.StoreClosedException, RuntimeError),
            (docsession.TooManyRequestsException, ValueError),
            (docsession.InvalidArgumentException, ValueError),
            (docsession.InvalidArgumentTypeException, TypeError),
            (docsession.InvalidArgumentTypeException, ValueError),
            (docsession.ConversionException, ValueError),
            (docsession.MissingDependencyException, ImportError),
        ],
    )
    def test_they_are_caught_as_ravendbs_and_pythons_users_do(self, error, caught_as):
        assert issubclass(error, caught_as)
        assert issubclass(error, docsession.DocSessionError)
