"""A form for a document, which does not overwrite what its user has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from docsession._errors import ConcurrencyException, InvalidArgumentTypeException
from docsession._faces._async_session import AsyncDocumentSession
from docsession._faces._session import DocumentSession
from docsession.contrib.django._scopes import get_session

T = TypeVar("T")

VERSION: Final = "change_vector"
CONFLICT: Final = "conflict"


class DocumentForm(forms.Form, Generic[T]):
    """A form whose fields are attributes of a document.

        class CustomerForm(DocumentForm[Customer]):
            name = forms.CharField()

        form = CustomerForm(request.POST or None, document=customer)

    A hidden field carries the change vector that the user has seen. If the document has another one by the time the
    form comes back, the form is not valid (`has_conflict`); and the save checks it again, on the server. A document
    that the session does not track yet is a new one.

    Args:
        data: What was sent; None: the form is shown for the first time.
        files: The files that were sent.
        document: The document, as the session has loaded it.
        session: The session that tracks it; None is that of the request. With an async one call `asave`.
        initial: Values to show, in the place of the document's.
        kwargs: What Django's forms take.

    Attributes:
        document: The document; after a save that of the session.
        conflict_message: What the user is told who was too late.
    """

    change_vector = forms.CharField(required=False, widget=forms.HiddenInput)

    conflict_message: ClassVar[Any] = _(
        "This was changed by somebody else after you had opened it. Open it again to see what it is now."
    )

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        *,
        document: T,
        session: DocumentSession | AsyncDocumentSession | None = None,
        initial: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.document = document
        self.session = get_session() if session is None else session
        self._version = self._known_version()
        values = {name: _value(document, name) for name in self.base_fields if _has(document, name)}
        known = {**values, **(initial or {}), VERSION: self._version or ""}
        super().__init__(data, files, initial=known, **kwargs)

    @property
    def has_conflict(self) -> bool:
        """True where the document was changed after the user had opened it."""
        return self.is_bound and self.has_error(NON_FIELD_ERRORS, CONFLICT)

    @override
    def full_clean(self) -> None:
        """Validate as Django does, and compare the versions."""
        super().full_clean()
        if self.is_bound and self._version is not None and self._expected() != self._version:
            self._tell_conflict()

    def apply(self, document: T, values: Mapping[str, Any]) -> T:
        """Bring the form's values into the document, each as the attribute of its name; to be overridden.

        Args:
            document: The document.
            values: The cleaned values, by the names of the fields.

        Returns:
            The document; another instance takes its place, as a frozen one needs.
        """
        for name, value in values.items():
            if isinstance(document, dict):
                document[name] = value
            else:
                setattr(document, name, value)
        return document

    def save(self, commit: bool = True) -> T:
        """Bring the values into the document, and save the session.

        Args:
            commit: False leaves saving to you.

        Raises:
            ConcurrencyException: Somebody was faster by a moment; the form tells that too.
            ValueError: The form is not valid.
        """
        session = self.session
        if not isinstance(session, DocumentSession):
            raise InvalidArgumentTypeException("an async session is saved by `await form.asave()`")
        self._apply()
        session.store(self.document, change_vector=self._wanted())
        if commit:
            try:
                session.save_changes()
            except ConcurrencyException:
                self._tell_conflict()
                raise
        return self.document

    async def asave(self, commit: bool = True) -> T:
        """See `save`; for an async session."""
        session = self.session
        if not isinstance(session, AsyncDocumentSession):
            raise InvalidArgumentTypeException("asave() needs an async session: DocumentForm(session=…)")
        self._apply()
        await session.store(self.document, change_vector=self._wanted())
        if commit:
            try:
                await session.save_changes()
            except ConcurrencyException:
                self._tell_conflict()
                raise
        return self.document

    def _apply(self) -> None:
        if self.errors:
            raise ValueError(f"the form is not valid, so nothing can be saved: {', '.join(self.errors)}")
        values = {name: value for name, value in self.cleaned_data.items() if name != VERSION}
        applied = self.apply(self.document, values)
        if applied is not self.document:
            if self._version is not None:
                self.session.advanced.replace(self.document, applied)
            self.document = applied

    def _known_version(self) -> str | None:
        """Return the version of the document as the session has loaded it; None: it is new."""
        advanced = self.session.advanced
        if advanced.get_document_id(self.document) is None:
            return None
        return advanced.get_change_vector_for(self.document)

    def _expected(self) -> str:
        return str(self.cleaned_data.get(VERSION, ""))

    def _wanted(self) -> str | None:
        """Return the version that the save is to find; a new document has none."""
        return None if self._version is None else self._expected()

    def _tell_conflict(self) -> None:
        self.add_error(None, ValidationError(self.conflict_message, CONFLICT))


def _has(document: object, name: str) -> bool:
    return name in document if isinstance(document, dict) else hasattr(document, name)


def _value(document: object, name: str) -> Any:
    return document[name] if isinstance(document, dict) else getattr(document, name)
