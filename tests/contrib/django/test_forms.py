"""DocumentForm: what a user has not seen is not overwritten."""

import asyncio
import re
from dataclasses import dataclass, replace

import pytest

from docsession import ConcurrencyException, InvalidArgumentTypeException, UnsupportedValueException, document
from tests.contrib.django.project.documents import Customer
from tests.support.refusals import refused


@document(collection="FrozenOnes")
@dataclass(frozen=True)
class Frozen:
    name: str
    id: str | None = None


@pytest.fixture
def form_class(project):
    from django import forms

    from docsession.contrib.django import DocumentForm

    class CustomerForm(DocumentForm[Customer]):
        name = forms.CharField(max_length=20)
        city = forms.CharField()

    return CustomerForm


@pytest.fixture
def session(project):
    from docsession.contrib.django import document_session

    with document_session() as session:
        session.store(Customer("Ada"), "customers/1")
        session.save_changes()
    with document_session() as session:
        yield session


def write_beside(name="theirs"):
    from docsession.contrib.django import get_store

    with get_store().open_session() as session:
        session.load("customers/1", Customer).name = name
        session.save_changes()


def sent(form, **changes):
    """What a browser sends back that was shown *form*."""
    return {name: form[name].value() for name in form.fields} | changes


class TestShowing:
    """A form that nothing was sent to."""

    def test_it_shows_the_document(self, form_class, session):
        """With its version in a hidden field."""
        customer = session.load("customers/1", Customer)
        form = form_class(document=customer)

        assert {name: form[name].value() for name in ("name", "city")} == {"name": "Ada", "city": "Oslo"}
        vector = session.advanced.get_change_vector_for(customer)
        hidden = re.search(r'<input type="hidden" name="change_vector" value="(.*?)"', form.as_p())
        assert hidden[1] == vector
        assert not form.has_conflict

    def test_other_values_may_be_shown(self, form_class, session):
        """`initial`, as in Django."""
        form = form_class(document=session.load("customers/1", Customer), initial={"city": "Bergen"}, prefix="a")

        assert form["city"].value() == "Bergen"
        assert 'name="a-change_vector"' in form.as_p()


class TestSaving:
    """What comes back."""

    def test_it_is_saved(self, form_class, session, rows):
        """Where nobody else has written."""
        customer = session.load("customers/1", Customer)
        form = form_class(sent(form_class(document=customer), name="Bea"), document=customer)

        assert form.is_valid()
        assert form.save() is customer
        assert rows() == {"customers/1": "Bea"}
        assert (form.changed_data, customer.city) == (["name"], "Oslo")

    def test_commit_false_leaves_it_to_the_session(self, form_class, session, rows):
        """As with Django's own."""
        customer = session.load("customers/1", Customer)
        form = form_class(sent(form_class(document=customer), name="Bea"), document=customer)
        assert form.is_valid()
        form.save(commit=False)
        assert rows() == {"customers/1": "Ada"}
        session.save_changes()
        assert rows() == {"customers/1": "Bea"}

    def test_a_new_document(self, form_class, session, rows):
        """One that the session does not track."""
        form = form_class({"name": "Bea", "city": "Bergen"}, document=Customer(""))

        assert form.is_valid()
        made = form.save()
        assert rows() == {"customers/1": "Ada", made.id: "Bea"}

    def test_a_dict(self, project, session):
        """Its fields are its keys."""
        from django import forms

        from docsession.contrib.django import DocumentForm

        class ThingForm(DocumentForm[dict]):
            name = forms.CharField()

        thing = {"name": "a", "more": 1, "@metadata": {"@collection": "Things"}}
        session.store(thing, "things/1")
        session.save_changes()
        form = ThingForm(sent(ThingForm(document=thing), name="b"), document=thing)
        assert form.is_valid()
        form.save()
        session.advanced.clear()
        found = session.load("things/1")
        assert (found["name"], found["more"], "change_vector" in found) == ("b", 1, False)

    def test_a_frozen_document_is_replaced(self, session):
        """By what `apply` returns."""
        from django import forms

        from docsession.contrib.django import DocumentForm

        class FrozenForm(DocumentForm[Frozen]):
            name = forms.CharField()

            def apply(self, document, values):
                return replace(document, **values)

        session.store(Frozen("a"), "frozens/1")
        session.save_changes()
        frozen = session.load("frozens/1", Frozen)
        form = FrozenForm(sent(FrozenForm(document=frozen), name="b"), document=frozen)
        assert form.is_valid()
        assert form.save().name == "b"
        assert session.load("frozens/1", Frozen) is form.document

    def test_what_is_not_valid_is_not_saved(self, form_class, session, rows):
        """A mistake of the view's."""
        customer = session.load("customers/1", Customer)
        form = form_class(sent(form_class(document=customer), name=""), document=customer)

        assert not form.is_valid()
        with pytest.raises(ValueError, match="name"):
            form.save()
        assert not form.has_conflict
        assert rows() == {"customers/1": "Ada"}

    def test_what_the_class_does_not_take_is_refused_by_the_session(self, project, session, rows):
        """A form may be wrong about the types."""
        from django import forms

        from docsession.contrib.django import DocumentForm

        class Wrong(DocumentForm[Customer]):
            name = forms.IntegerField()

        customer = session.load("customers/1", Customer)
        form = Wrong({"name": "5", "change_vector": form_version(session, customer)}, document=customer)
        assert form.is_valid()
        with pytest.raises(UnsupportedValueException):
            form.save()
        assert rows() == {"customers/1": "Ada"}


def form_version(session, document):
    return session.advanced.get_change_vector_for(document)


class TestLostUpdates:
    """Somebody else writes after the form was opened."""

    def test_before_it_comes_back(self, form_class, session, rows):
        """It is not valid, and says why."""
        shown = sent(form_class(document=session.load("customers/1", Customer)), name="mine")
        write_beside()
        session.advanced.clear()
        form = form_class(shown, document=session.load("customers/1", Customer))

        assert not form.is_valid()
        assert form.has_conflict
        assert "changed by somebody else" in str(form.non_field_errors())
        assert rows() == {"customers/1": "theirs"}

    def test_in_the_last_moment(self, form_class, session, rows):
        """The server refuses, whatever the session's mode."""
        customer = session.load("customers/1", Customer)
        form = form_class(sent(form_class(document=customer), name="mine"), document=customer)
        assert form.is_valid()
        write_beside()

        with pytest.raises(ConcurrencyException):
            form.save()
        assert form.has_conflict
        assert rows() == {"customers/1": "theirs"}

    @pytest.mark.parametrize("version", [None, "", "1", "x"])
    def test_a_version_that_was_never_sent_out(self, form_class, session, version):
        """A form without the hidden field would protect nothing."""
        customer = session.load("customers/1", Customer)
        data = {"name": "Bea", "city": "Oslo"} | ({} if version is None else {"change_vector": version})

        form = form_class(data, document=customer)

        assert not form.is_valid()
        assert form.has_conflict

    def test_a_subclass_that_forgets_its_parents_clean(self, form_class, session):
        """Is protected all the same."""

        class Forgetful(form_class):
            def clean(self):
                return self.cleaned_data

        customer = session.load("customers/1", Customer)
        assert not Forgetful({"name": "a", "city": "b", "change_vector": "1"}, document=customer).is_valid()

    def test_end_to_end(self, serve, form_class, rows):
        """Two browsers, one document: the second one is told."""
        from django.http import HttpResponse

        from docsession.contrib.django import get_session, get_store

        def view(request):
            customer = get_session().load("customers/1", Customer)
            form = form_class(request.POST or None, document=customer)
            if request.method == "POST" and form.is_valid():
                form.save()
                return HttpResponse("saved")
            return HttpResponse(form.as_p(), status=409 if form.has_conflict else 200)

        with get_store().open_session() as session:
            session.store(Customer("Ada"), "customers/1")
            session.save_changes()
        client = serve(view)
        pages = [client.get("/").content.decode() for _ in range(2)]
        versions = [re.search(r'name="change_vector" value="(\d+)"', page)[1] for page in pages]
        posts = [
            {"name": name, "city": "Oslo", "change_vector": version}
            for name, version in zip(["first", "second"], versions, strict=True)
        ]

        answers = [client.post("/", post) for post in posts]

        assert [answer.status_code for answer in answers] == [200, 409]
        assert b"changed by somebody else" in answers[1].content
        assert rows() == {"customers/1": "first"}


class TestAsync:
    """asave, for an async session."""

    def test_it_is_saved(self, form_class, session, rows):
        """And refused where somebody was faster."""
        from docsession.contrib.django import async_document_session

        async def work(name, *, beside):
            async with async_document_session() as own:
                customer = await own.load("customers/1", Customer)
                shown = sent(form_class(document=customer, session=own), name=name)
                form = form_class(shown, document=customer, session=own)
                assert form.is_valid()
                with refused(InvalidArgumentTypeException, "asave"):
                    form.save()
                if beside:
                    await asyncio.to_thread(write_beside)
                await form.asave()

        asyncio.run(work("Bea", beside=False))
        assert rows() == {"customers/1": "Bea"}
        with pytest.raises(ConcurrencyException):
            asyncio.run(work("Cem", beside=True))
        assert rows() == {"customers/1": "theirs"}

    def test_a_blocking_session_is_not_awaited(self, form_class, session):
        """The message says what it needs."""
        customer = session.load("customers/1", Customer)
        form = form_class(sent(form_class(document=customer)), document=customer)
        assert form.is_valid()
        with refused(InvalidArgumentTypeException, "async session"):
            asyncio.run(form.asave())
