"""What a type checker makes of an application in FastAPI or Starlette; checked, never run."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, assert_type

from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import Route

from docsession import (
    AsyncDocumentSession,
    AsyncDocumentStore,
    DocumentStore,
    Query,
    RequestExecutor,
    RequestTimeoutException,
    SessionOptions,
)
from docsession.contrib import starlette as plain
from docsession.contrib.fastapi import (
    DocSession,
    IfMatch,
    IfMatchHeader,
    JsonDocument,
    JsonDocuments,
    JsonEnvelope,
    JsonPage,
    Problem,
    ProblemMap,
    ProblemResponse,
    Session,
    Store,
    check_if_match,
    etag_of,
    expect_change_vector,
    load_or_404,
    problem_responses,
)


class CustomerData(BaseModel):
    name: str
    tags: list[str] = Field(default_factory=list)


class Customer(CustomerData):
    id: str | None = None


def options(request: HTTPConnection) -> SessionOptions | None:
    return SessionOptions(database=request.headers.get("x-tenant"))


documents = DocSession(
    lambda: AsyncDocumentStore(max_size=20), autosave=True, problems=ProblemMap(), session_options=options
)
archive = DocSession(AsyncDocumentStore, name="archive", summary=True)
Archive = Annotated[AsyncDocumentSession, Depends(archive.document_session, scope="function")]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with documents.lifespan(app), archive.lifespan(app):
        assert_type(documents.store, AsyncDocumentStore)
        yield


app = FastAPI(lifespan=lifespan)
documents.install(app)
archive.install(app)


@app.post("/customers", status_code=201)
async def add(body: CustomerData, session: Session, store: Store, response: Response) -> Customer:
    assert_type(session, AsyncDocumentSession)
    assert_type(store, AsyncDocumentStore)
    customer = Customer(**body.model_dump())
    await session.store(customer)
    await session.save_changes()
    response.headers["ETag"] = etag_of(session, customer)
    return customer


@app.get("/customers", response_model=JsonPage[Customer])
async def customers(after: str | None = None) -> JsonDocuments:
    return JsonDocuments(Query(Customer).order_by("name"), size=20, after=after)


@app.get("/all", response_model=JsonEnvelope[Customer])
async def everything(session: Archive) -> JsonDocuments:
    return JsonDocuments(session.query(Customer).where(lambda c: c.name == "a"), envelope=True)


@app.get("/raw/{key:path}", response_model=Customer, responses=problem_responses(404))
async def raw(key: str) -> JsonDocument:
    return JsonDocument(key, Customer)


@app.put("/customers/{key:path}")
async def change(key: str, body: CustomerData, session: Session, if_match: IfMatch, request: Request) -> Customer:
    customer = await load_or_404(session, key, Customer)
    assert_type(customer, Customer)
    assert_type(await load_or_404(session, key), Any)
    assert_type(if_match, IfMatchHeader)
    if_match.check(session, customer)
    check_if_match(request, session, customer)
    expect_change_vector(session, customer, "7")
    customer.name = body.name
    return customer


async def tag(key: str) -> None:
    async with documents.open_session() as session:
        assert_type(session, AsyncDocumentSession)
        (await load_or_404(session, key, Customer)).tags.append("tagged")
        await session.save_changes()


@app.post("/tags/{key:path}", status_code=202)
async def add_tag(key: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(tag, key)


@app.get("/names")
async def names(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async with documents.open_session(request) as session:
            async for customer in session.query(Customer).stream():
                yield customer.name

    return StreamingResponse(lines())


@app.exception_handler(RequestTimeoutException)
async def slow(request: Request, error: RequestTimeoutException) -> ProblemResponse:
    return ProblemResponse(Problem(504, error.code, "Too slow."))


async def joined(request: Request, sql: AsyncSession) -> None:
    place = SessionOptions(request_executor=RequestExecutor.for_connection(sql))
    async with documents.open_session(request, place) as session:
        await session.save_changes()
        await sql.commit()


other = plain.DocSession()


async def rename(request: Request) -> JSONResponse:
    async with other.session(request) as session:
        customer = await plain.load_or_404(session, request.path_params["key"], Customer)
        plain.check_if_match(request, session, customer)
    return JSONResponse({"name": customer.name})


starlette_app = Starlette(routes=[Route("/{key:path}", rename)], lifespan=other.lifespan)
other.install(starlette_app)


async def mistakes(session: Session, customer: Customer, if_match: IfMatch) -> None:
    session.save_changes()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    load_or_404(session, "a/1", Customer).name = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = (await session.load("a/1", Customer)).name  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    (await load_or_404(session, "a/1", Customer)).nmae = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await if_match.check(session, customer)  # type: ignore[func-returns-value, misc]  # pyright: ignore[reportGeneralTypeIssues]
    DocSession(DocumentStore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    JsonDocument(customer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    JsonDocuments(Customer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
