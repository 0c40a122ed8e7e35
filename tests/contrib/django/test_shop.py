"""The shop in Django, as its README starts it."""

import re

import psycopg
import pytest

from tests.contrib.shop_contract import ShopContract, created, customer_path, word


@pytest.fixture(scope="class")
def own_postgres_database(own_postgres_database):
    """The other shops may have been started there before, which have a table of that name."""
    with psycopg.connect(own_postgres_database) as connection:
        connection.execute("CREATE TABLE stock (product text PRIMARY KEY, quantity int)")
    return own_postgres_database


class TestTheShop(ShopContract):
    """What all shops do."""

    example = "examples.django_shop"

    def test_a_form_does_not_overwrite_what_its_user_has_not_seen(self, shop):
        """Two people open it, both save, the second one is told."""
        made = created(shop, "/customers", {"name": word(), "city": "Oslo"})
        path = f"/edit/{made['id']}"
        forms = []
        for name in ("first", "second"):
            page = shop.get(path)
            hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)"', page.text))
            forms.append(hidden | {"name": name, "city": "Oslo", "notes": ""})

        first, second = [shop.post(path, data=form) for form in forms]

        assert (first.status_code, first.headers["location"]) == (302, path)
        assert (second.status_code, "changed by somebody else" in second.text) == (409, True)
        assert shop.get(customer_path(made["id"])).json()["name"] == "first"

    def test_the_admin_is_there(self, shop):
        """For those who log in."""
        assert shop.get("/admin/").headers["location"] == "/admin/login/?next=/admin/"
