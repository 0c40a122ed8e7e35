"""The application."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from docsession.contrib.fastapi import Problem, ProblemResponse
from examples.fastapi_shop import customers, orders
from examples.fastapi_shop.documents import documents, seed
from examples.fastapi_shop.stock import tables


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the store and the tables beside it, for as long as the application runs."""
    async with documents.lifespan(app):
        server = documents.store.embedded_server
        async with tables(os.environ["DOCSESSION_URL"] if server is None else server.url) as app.state.sql:
            await seed(documents.store)
            yield


async def refused(_: Request, error: HTTPException) -> ProblemResponse:
    """Answer with what a view, or FastAPI itself, has refused."""
    return ProblemResponse(Problem(error.status_code, "refused", str(error.detail)), error.headers)


async def invalid(_: Request, error: RequestValidationError) -> ProblemResponse:
    """Answer with the first thing that is wrong with a request."""
    first = error.errors()[0]
    place = ".".join(str(each) for each in first["loc"])
    return ProblemResponse(Problem(422, "invalid", f"{place}: {first['msg']}"))


app = FastAPI(
    title="Shop", lifespan=lifespan, exception_handlers={HTTPException: refused, RequestValidationError: invalid}
)
documents.install(app)
app.include_router(customers.router)
app.include_router(orders.router)
