"""How a query gets to the server: where its documents are, what compiles it, and what becomes of failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from docsession._documents._mapping import DocumentMapping, Mappings
from docsession._errors import InvalidOperationException, RavenException, _ExtensionNeeded
from docsession._port import Request, Rows, Statement
from docsession._query._access import Access
from docsession._query._clauses import Clauses
from docsession._query._compile import QueryCompiler
from docsession._query._digests import UnchangedError, Unless
from docsession._query._query import Specification
from docsession._query._statements import PageStatement
from docsession._session._answers import Answers
from docsession._session._context import SessionContext
from docsession._session._customization import customize
from docsession._session._include_paths import include_paths
from docsession._session._including import Arrived, Including, IncludingQuery
from docsession._session._loading import Loader
from docsession._session._refused_by_query import explained
from docsession._sql._tables import TableStatements

R = TypeVar("R")


class Asking:
    """Sends the queries of one session.

    Attributes:
        loader: What takes their rows.
        answers: What makes documents of them.
    """

    __slots__ = ("_context", "answers", "loader")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self.loader = Loader(context)
        self.answers = Answers(context, self.loader)

    async def guarded(self, operation: str, asked: Specification, ask: Callable[[Specification], Awaitable[R]]) -> R:
        """Await `ask(asked)` as an operation of the session."""
        check_complete(operation, asked)
        context = self._context
        context.enter(operation)
        try:
            await context.settle()
            if context.handlers is not None or asked.listeners is not None:
                asked = await customize(context, asked)
            try:
                return await context.database.up_to_date(lambda: ask(asked))
            except _ExtensionNeeded as needed:
                name = needed.name
            await context.database.objects.find_extension(name)
            return await context.database.up_to_date(lambda: ask(asked))
        except RavenException as error:
            wrong = explained(error)
            if wrong is None:
                raise
            raise wrong from error
        finally:
            context.leave()

    async def find(
        self, asked: Specification, *, counts: bool = True
    ) -> tuple[TableStatements, DocumentMapping[Any]] | None:
        """Return where the documents are; None where nobody has stored one, which counts as a request, too."""
        context = self._context
        mapping = mapping_for(asked, context.mappings)
        database = context.database
        catalogue = database.catalogue
        table = None if catalogue is None else catalogue.by_collection.get(mapping.collection)
        if table is None:
            table = (await database.refresh()).by_collection.get(mapping.collection)
        if table is None:
            if counts:
                context.requests.count(context.operation)
            return None
        await self._look_for_columns(table, mapping)
        return table, mapping

    async def _look_for_columns(self, table: TableStatements, mapping: DocumentMapping[Any]) -> None:
        """Find out which of the promoted columns there are that are declared, the first time that somebody asks."""
        database = self._context.database
        if (table, mapping.entity_class) not in database.objects.compilers and self._declared(table).has_columns:
            await database.objects.columns_of(table)

    def _declared(self, table: TableStatements) -> Access:
        context = self._context
        return context.database.declared.of_collection(table.collection, table.table, context.mappings).access

    def compiler(self, table: TableStatements, mapping: DocumentMapping[Any]) -> QueryCompiler:
        """Return what compiles the queries of a class."""
        known = self._context.database.objects.compilers
        compiler = known.get((table, mapping.entity_class))
        if compiler is None:
            aliases = None
            if mapping.alias is not None:
                aliases = tuple(alias for alias in self._context.mappings.stored_as(mapping) if alias is not None)
            database = self._context.database
            access = self._declared(table)
            if access.has_columns:
                access = access.without_columns_but(database.objects.columns.get(table, ()))
            access = replace(access, extensions=database.objects.extensions)
            compiler = QueryCompiler(table, database.name, mapping.codec.id_key, aliases, access)
            known[table, mapping.entity_class] = compiler
        return compiler

    async def compiled(self, compile_: Callable[[], R]) -> R:
        """Return what *compile_* does, having looked for the extension that it may need."""
        try:
            return compile_()
        except _ExtensionNeeded as needed:
            name = needed.name
        await self._context.database.objects.find_extension(name)
        return compile_()

    async def send(self, statement: Statement) -> Rows:
        """Send the one statement of a query."""
        (rows,) = await self.loader.request([statement])
        return rows

    async def ask(self, asked: Specification, compile_: Callable[[QueryCompiler, Specification], Statement]) -> Rows:
        """Send what *compile_* makes of a query; no rows where nobody has stored a document."""
        found = await self.find(asked)
        if found is None:
            return []
        return await self.send(compile_(self.compiler(*found), asked))

    async def send_page(self, asked: Specification, compiler: QueryCompiler, page: PageStatement) -> Rows:
        """Send the statement for documents; what they refer to comes along where that is asked for, and is kept."""
        if not asked.includes:
            return await self.send(page.statement)
        query = await self.including(asked, compiler, page)
        return await Including(self._context).keep(query, await self.loader.request_and_catch_up(query.statement))

    async def read_page(
        self, asked: Specification, compiler: QueryCompiler, page: PageStatement, unless: Unless | None = None
    ) -> tuple[Rows, Arrived]:
        """Do that without keeping anything in the session, and return what came along, too.

        Raises:
            UnchangedError: *unless* holds.
        """
        if not asked.includes:
            if unless is None:
                return await self.send(page.statement), []
            return unless.read(await self.send(unless.statement(page)), page), []
        query = await self.including(asked, compiler, page, kept=False, everywhere=unless is not None)
        including = Including(self._context)
        if unless is None:
            return await including.tell_apart(query, await self.loader.request_and_catch_up(query.statement))
        rows = await self.loader.request_and_catch_up(unless.statement(page, query.statement))
        try:
            rows = unless.read(rows, page)
        except UnchangedError:
            if not await including.is_outdated(query):
                raise
            (rows,) = await self._context.run(Request([query.statement], may_lag=True))
        return await including.tell_apart(query, rows)

    async def including(
        self,
        asked: Specification,
        compiler: QueryCompiler,
        page: PageStatement,
        *,
        kept: bool = True,
        everywhere: bool = False,
    ) -> IncludingQuery:
        """Return the query for documents and what they refer to, about to be sent.

        Args:
            asked: What is asked for.
            compiler: That of the table.
            page: The documents alone.
            kept: True: what comes along is kept in the session.
            everywhere: True: it is looked for in all tables in which there may be such documents.
        """
        context = self._context
        if kept and (asked.no_tracking or context.no_tracking or asked.projection is not None):
            raise InvalidOperationException(
                "what is not tracked, and what select() returns, has nowhere to keep included documents"
            )
        separator = context.database.separator
        return await Including(context).prepare(
            lambda includes, tracked: compiler.including(page, includes, separator, tracked),
            compiler.table,
            include_paths(asked.includes, asked.object_type, context.mappings),
            page.first,
            kept=kept,
            everywhere=everywhere,
        )


def mapping_for(asked: Specification, mappings: Mappings) -> DocumentMapping[Any]:
    """Return how the documents are stored that are asked for."""
    if asked.object_type is dict:
        assert asked.collection is not None  # noqa: S101  # such a specification is refused
        return mappings.for_dict(asked.collection)
    mapping = mappings.for_class(asked.object_type)
    if asked.collection is not None and asked.collection != mapping.collection:
        raise InvalidOperationException(
            f"{asked.object_type.__qualname__} is stored in {mapping.collection!r}, so it cannot be asked for in "
            f"{asked.collection!r}; documents of any collection come as dicts: query(dict, {asked.collection!r})"
        )
    return mapping


def check_complete(operation: str, asked: Specification) -> None:
    """Refuse a query that ends in the middle of what the builder says, or would leave out those who watch it."""
    asked.parameters.check()
    if asked.listeners is not None:
        asked.listeners.check(operation)
    if asked.watchers is not None:
        asked.watchers.check(operation)
    for condition in asked.conditions:
        if type(condition) is Clauses:
            condition.check_finished(f"{operation}()")


def check_result(asked: Specification) -> None:
    """Refuse groups and distinct results of which nothing says what they are."""
    if asked.projection is None and (asked.groups or asked.distinct):
        raise InvalidOperationException(
            "group_by() and distinct() need a select(), which says what is returned of the documents"
        )
