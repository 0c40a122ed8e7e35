"""Pages of the admin for collections and documents."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlencode

import msgspec
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from typing_extensions import override

from docsession._errors import (
    ConcurrencyException,
    ConversionException,
    DocSessionError,
    ForeignKeyViolation,
    IndexedValueTooLongException,
    InvalidArgumentException,
    UniqueConstraintViolation,
)
from docsession._faces._document_query import DocumentQuery
from docsession._faces._session import DocumentSession
from docsession.contrib.django._admin_form import JsonForm, unchangeable
from docsession.contrib.django._scopes import document_session
from docsession.contrib.django._settings import DjangoSettings
from docsession.contrib.django._stores import STORES, get_store
from docsession.contrib.django.models import Document

PAGE: Final = 50
_SHOWN: Final = 160
"""Characters of a document in a list."""


if TYPE_CHECKING:
    _ModelAdmin: TypeAlias = admin.ModelAdmin[Document]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(Document)
class DocumentAdmin(_ModelAdmin):
    """Shows the collections of all stores, their documents, and each document as JSON.

    Documents are changed only where `ADMIN_WRITES` is on, by users with the permission to change documents.
    """

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: an application makes its documents."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: an application deletes its documents."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return True for users with that permission, where a store's settings allow it."""
        allowed = super().has_change_permission(request, obj)
        return allowed and any(each.admin_writes for each in STORES.all_settings().values())

    @override
    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """Show the collections, or the documents of one."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        collection = request.GET.get("collection")
        if not collection:
            return self._render(request, "collections", {"stores": list(_overview())}, extra_context)
        settings = _settings(request)
        search = request.GET.get("q", "")
        context: dict[str, Any] = {"collection": collection, "store": settings.name, "search": search, "documents": []}
        with document_session(settings.name) as session:
            try:
                query = _searched(session.query_collection(collection), search)
                page = query.page(PAGE, after=request.GET.get("after") or None)
            except DocSessionError as error:
                messages.error(request, str(error))
            else:
                context["documents"] = [self._row(session, each, settings.name) for each in page.items]
                context["next"] = page.next and _query(
                    store=settings.name, collection=collection, q=search, after=page.next
                )
        return self._render(request, "documents", context, extra_context)

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a document, and take its changes."""
        if object_id is None or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        settings = _settings(request)
        key = unquote(object_id)
        form = None
        with _shown(key, settings) as (session, document, text):
            reason = self._refusal(request, settings, document)
            context: dict[str, Any] = {
                "key": key,
                "store": settings.name,
                "text": text,
                "metadata": session.advanced.get_metadata_for(document),
                "reason": reason,
                "history": self._url("history", key, settings.name),
            }
            if request.method == "POST" and reason is not None:
                raise PermissionDenied(reason)
            if reason is None:
                form = JsonForm(request.POST or None, document=document, session=session, key=key, settings=settings)
                if request.method == "POST" and self._save(request, form, key):
                    return HttpResponseRedirect(self._url("change", key, settings.name))
                context["form"] = form
        response = self._render(request, "document", context, extra_context)
        if form is not None and form.has_conflict:
            response.status_code = 409
        return response

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """Return nothing: there is no table."""
        return Document.objects.none()

    @override
    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Document | None:
        """Return what stands for a document in the admin's log."""
        try:
            with document_session(_settings(request).name) as session:
                return Document(id=object_id) if session.advanced.exists(object_id) else None
        except InvalidArgumentException:
            return None

    def _save(self, request: HttpRequest, form: JsonForm, key: str) -> bool:
        if not form.is_valid():
            return False
        try:
            form.save()
        except ConcurrencyException:
            return False  # the form tells
        except (
            ConversionException,
            ForeignKeyViolation,
            IndexedValueTooLongException,
            UniqueConstraintViolation,
        ) as error:
            form.add_error("content", str(error))
            return False
        self.log_change(request, Document(id=key), [{"changed": {"fields": ["JSON"]}}])
        messages.success(request, _("The document %(key)s was changed.") % {"key": key})
        return True

    def _refusal(self, request: HttpRequest, settings: DjangoSettings, document: dict[str, Any]) -> str | None:
        """Return why the document cannot be changed here."""
        if not settings.admin_writes:
            return _("Documents are only shown here.")
        if not self.has_change_permission(request):
            return _("You may not change documents.")
        return unchangeable(document)

    def _render(
        self, request: HttpRequest, page: str, context: Mapping[str, Any], extra: Mapping[str, Any] | None
    ) -> HttpResponse:
        given = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": context.get("key") or context.get("collection") or _("Collections"),
            "changelist": self._url("changelist"),
            "list_query": _query(store=context.get("store", ""), collection=context.get("collection", "")),
            **context,
            **(extra or {}),
        }
        return TemplateResponse(request, f"admin/docsession/document/{page}.html", given)

    def _row(self, session: DocumentSession, document: dict[str, Any], store: str) -> dict[str, Any]:
        key = session.advanced.get_document_id(document) or ""
        content = {name: value for name, value in document.items() if name != "@metadata"}
        text = msgspec.json.encode(content, enc_hook=str).decode()
        return {
            "key": key,
            "url": self._url("change", key, store),
            "text": text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…",
            "last_modified": session.advanced.get_last_modified_for(document),
        }

    def _url(self, view: str, key: str | None = None, store: str = "") -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        if key is None:
            return reverse(name, current_app=self.admin_site.name)
        return f"{reverse(name, args=[quote(key)], current_app=self.admin_site.name)}?{_query(store=store)}"


@contextmanager
def _shown(key: str, settings: DjangoSettings) -> Iterator[tuple[DocumentSession, dict[str, Any], str]]:
    with document_session(settings.name) as session:
        try:
            stored = session.load_json(key)
            document = session.load(key)
        except InvalidArgumentException as error:
            raise Http404 from error  # no text that an id could be
        if stored is None or document is None:
            raise Http404
        yield session, document, msgspec.json.format(stored, indent=2).decode()


def _settings(request: HttpRequest) -> DjangoSettings:
    known = STORES.all_settings()
    name = request.GET.get("store") or next(iter(known))
    if name not in known:
        raise Http404
    return known[name]


def _overview() -> Iterator[dict[str, Any]]:
    """Yield each store with its collections, their sizes and where they are shown."""
    for name in STORES.all_settings():
        store = get_store(name)
        counts = store.maintenance.get_collection_statistics()
        yield {
            "name": name,
            "database": store.database,
            "collections": [
                {"name": collection, "count": count, "query": _query(store=name, collection=collection)}
                for collection, count in sorted(counts.items())
            ],
        }


def _searched(query: DocumentQuery[dict[str, Any]], search: str) -> DocumentQuery[dict[str, Any]]:
    """Return what *search* asks for: words like `city=Oslo`, else the beginning of an id.

    Raises:
        InvalidArgumentException: A quotation mark has no end, or a path cannot be one.
    """
    try:
        words = shlex.split(search)
    except ValueError as error:
        raise InvalidArgumentException(f"the search cannot be read: {error}") from error
    for word in words:
        path, equals, value = word.partition("=")
        query = query.where_equals(path, _literal(value)) if equals else query.where_starts_with("id()", word)
    return query


def _literal(text: str) -> object:
    """Return the number, boolean or null that is written as JSON, else the text."""
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, int | float | None) else text


def _query(**values: str) -> str:
    return urlencode({name: value for name, value in values.items() if value})
