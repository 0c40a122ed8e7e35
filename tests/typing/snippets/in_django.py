"""What a type checker makes of a project in Django, without a plugin; checked, never run."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import assert_type

from django import forms
from django.db import migrations, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from typing_extensions import override

from docsession import (
    AsyncDocumentSession,
    AsyncDocumentStore,
    DocSessionError,
    DocumentSession,
    DocumentStore,
    RequestTimeoutException,
)
from docsession.contrib.django import (
    DocumentForm,
    DocumentSessionMiddleware,
    Problem,
    ProblemMap,
    RunRevision,
    aload_or_404,
    async_document_session,
    autosave,
    check_if_match,
    document_session,
    etag_of,
    expect_change_vector,
    get_async_session,
    get_async_store,
    get_session,
    get_store,
    json_response,
    load_or_404,
    no_autosave,
)


@dataclass
class Customer:
    name: str
    id: str | None = None


class CustomerForm(DocumentForm[Customer]):
    name = forms.CharField(max_length=80)


def edit(request: HttpRequest, key: str) -> HttpResponse:
    customer = get_session().load(key, Customer)
    if customer is None:
        raise Http404
    form = CustomerForm(request.POST or None, document=customer)
    if form.is_valid() and not form.has_conflict:
        with transaction.atomic():
            assert_type(form.save(), Customer)
    assert_type(form.document, Customer)
    return HttpResponse(form.document.name)


@autosave
def rename(request: HttpRequest, key: str) -> JsonResponse | HttpResponse:
    session = get_session("archive")
    assert_type(session, DocumentSession)
    session.advanced.edit(key, Customer, print)
    return HttpResponse(status=204)


@autosave
async def rename_later(request: HttpRequest, key: str) -> HttpResponse:
    session = get_async_session()
    assert_type(session, AsyncDocumentSession)
    form = CustomerForm(request.POST, document=Customer("a"), session=session)
    assert_type(await form.asave(commit=False), Customer)
    return HttpResponse(status=204)


@method_decorator(no_autosave, name="dispatch")
class Names(View):
    def get(self, request: HttpRequest) -> HttpResponseBase:
        def lines() -> Iterator[str]:
            with document_session() as session:
                for customer in session.query(Customer).stream():
                    yield customer.name

        return StreamingHttpResponse(lines())


async def names(request: HttpRequest) -> HttpResponseBase:
    async def lines() -> AsyncGenerator[str]:
        async with async_document_session("archive") as session:
            async for customer in session.query(Customer).stream():
                yield customer.name

    return StreamingHttpResponse(lines())


def listing(request: HttpRequest) -> HttpResponse:
    query = get_session().query(Customer).order_by("name")
    return json_response(request, query.json(20, after=request.GET.get("after")))


def api(request: HttpRequest, key: str) -> HttpResponse:
    if request.method != "PUT":
        return json_response(request, get_session().load_json(key, Customer))
    customer = load_or_404(key, Customer)
    assert_type(customer, Customer)
    check_if_match(request, customer)
    expect_change_vector(customer, request.POST["version"])
    return HttpResponse(headers={"ETag": etag_of(customer)})


async def later(request: HttpRequest, key: str) -> HttpResponse:
    customer = await aload_or_404(key, Customer)
    assert_type(customer, Customer)
    check_if_match(request, customer, get_async_session())
    return json_response(request, await get_async_session().load_json(key, Customer))


class Middleware(DocumentSessionMiddleware):
    @override
    def problem_response(self, request: HttpRequest, problem: Problem, error: DocSessionError) -> HttpResponseBase:
        return HttpResponse(problem.message, status=problem.status)


class Migration(migrations.Migration):
    atomic = False
    operations = [RunRevision("0001"), RunRevision("project@a1")]


DOCSESSION = {"PROBLEMS": ProblemMap().with_({RequestTimeoutException: 504})}
urlpatterns = [path("<path:key>", edit), path("later/<path:key>", rename_later), path("names", Names.as_view())]


def stores() -> None:
    assert_type(get_store(), DocumentStore)
    assert_type(get_async_store("archive"), AsyncDocumentStore)


async def mistakes(request: HttpRequest, customer: Customer) -> None:
    _ = get_session().load("customers/1-A", Customer).name  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    CustomerForm(document="customers/1-A")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CustomerForm(customer)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomerForm(document=customer).save().nmae = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    get_async_session().save_changes()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    json_response(request, b"{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load_or_404("customers/1-A", Customer).nmae = "a"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    autosave(print)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
