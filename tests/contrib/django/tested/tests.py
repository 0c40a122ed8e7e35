"""Collected by Django's test runner only."""

from django.test import TestCase, TransactionTestCase

from docsession.contrib.django import document_session, get_store
from tests.contrib.django.project.documents import Customer
from tests.contrib.django.project.models import Stock


def names():
    with document_session() as session:
        return [customer.name for customer in session.query(Customer)]


class RolledBack(TestCase):
    """Each begins with nothing but what setUpTestData has made."""

    @classmethod
    def setUpTestData(cls):
        with document_session() as session:
            session.store(Customer("of all"), "customers/all")
            session.save_changes()

    def buy(self):
        before = names()
        key = self.client.post("/buy").json()["id"]
        self.assertEqual(before, ["of all"])
        self.assertEqual(sorted(names()), ["Ada", "of all"])
        self.assertEqual(Stock.objects.count(), 1)
        return key

    def test_one(self):
        self.buy()

    def test_another_one(self):
        self.buy()

    def test_ids_are_never_given_out_twice(self):
        """Ranges are taken on a connection of the store's own, which is not rolled back."""
        keys = {self.buy()}
        with document_session() as session:
            for _ in range(100):
                customer = Customer("x")
                session.store(customer)
                keys.add(customer.id)
            session.save_changes()
        self.assertEqual(len(keys), 101)

    def test_on_commit_is_captured(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            self.buy()
        self.assertEqual(len(callbacks), 1)

    def test_a_failed_view_leaves_nothing(self):
        Stock.objects.create(product="tea", quantity=1)
        self.client.raise_request_exception = False
        with self.assertLogs("django.request", "ERROR"):
            self.assertEqual(self.client.post("/buy").status_code, 500)
        self.assertEqual(names(), ["of all"])

    async def test_an_async_view_does_not_see_what_is_not_committed(self):
        """Its session is on another connection."""
        response = await self.async_client.get("/count")
        self.assertEqual(response.json(), {"count": 0})


class Committed(TransactionTestCase):
    """Django empties the tables of its models after each; documents are the test's own business."""

    def setUp(self):
        self.addCleanup(self.empty)

    def empty(self):
        with get_store().open_session() as session:
            session.query(Customer).delete()

    def test_an_async_view_sees_what_is_committed(self):
        self.client.post("/buy")
        self.assertEqual(self.client.get("/count").json(), {"count": 1})

    async def test_so_it_does_in_an_async_test(self):
        self.assertEqual((await self.async_client.post("/buy")).status_code, 200)
        self.assertEqual((await self.async_client.get("/count")).json(), {"count": 1})

    def test_a_commit_is_a_commit(self):
        self.client.post("/buy")
        self.assertEqual(names(), ["Ada"])
