"""What the shop answers over HTTP, whatever framework it is written in.

A module of tests runs all of it against an example, which is started as its README says:

    class TestTheShop(ShopContract):
        example = "examples.flask_shop"

Every test brings customers and products of its own, so they share one server and run in any order.
"""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import quote, urljoin

import pytest

from examples.shop_data import CUSTOMERS, ORDERS, STOCK


def word():
    """Return a word that no other test has."""
    return f"w{uuid.uuid4().hex[:12]}"


def created(shop, path, body):
    """POST *body* and return what was made, read from where it is said to be."""
    answer = shop.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json"), answer.text
    read = shop.get(urljoin(str(answer.request.url), answer.headers["location"]))
    assert (read.status_code, read.json()) == (200, answer.json())
    assert read.headers["etag"] == answer.headers["etag"]
    return answer.json()


def customer(shop, **fields):
    """Make a customer."""
    return created(shop, "/customers", {"name": "Gil", "city": "Oslo", "notes": "", "tags": [], "email": None} | fields)


def customer_path(key):
    """Return where a customer is. A client may escape the slash of an id, or not."""
    return f"/customers/{quote(key, safe='')}"


def body_of(document, **changes):
    """Return what is PUT to change a customer that was read."""
    return {name: value for name, value in document.items() if name != "id"} | changes


def product(shop, quantity):
    """Put a product into the stock and return its name."""
    name = word()
    assert shop.put(f"/stock/{name}", json={"quantity": quantity}).status_code == 200
    return name


def in_stock(shop, name):
    return shop.get(f"/stock/{name}").json()["quantity"]


def line(name, quantity, price="1.50"):
    return {"product": name, "quantity": quantity, "price": price}


def orders_of(shop, key):
    return shop.get("/orders", params={"customer": key}).json()["items"]


def ids(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return [item["id"] for item in answer.json()["items"]]


def assert_problem(answer, *statuses, code=None):
    """The answer is a problem in the form of RFC 9457, for a client's eyes."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert all(isinstance(problem[name], str) and problem[name] for name in ("type", "title", "detail"))
    assert code is None or problem["code"] == code
    assert not any(secret in answer.text for secret in ("SELECT", "INSERT", "UPDATE", "Traceback", "postgresql://"))


def at_once(*calls):
    """Make all calls at the same time and return how often each status was the answer."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(answer.status_code for answer in pool.map(lambda call: call(), calls))


class CustomerLists:
    """GET /customers, by name."""

    def test_the_shop_begins_with_seeds(self, shop):
        """An empty database is filled with a few customers, orders and a stock."""
        expected = sorted((each["name"], each["id"]) for each in CUSTOMERS if each["city"] == "Torino")

        assert ids(shop.get("/customers", params={"city": "Torino"})) == [key for _, key in expected]
        assert in_stock(shop, "cocoa") == STOCK["cocoa"]

    def test_an_item_is_the_whole_customer(self, shop):
        """Lists have what the details have."""
        made = customer(shop, city=word(), tags=["a", "b"], notes="Ünicode ☕")

        (item,) = shop.get("/customers", params={"city": made["city"]}).json()["items"]

        assert item == made

    def test_pages_follow_each_other(self, shop):
        """By name, without gaps and repetitions, until there is no `next`; a token holds for the same question."""
        city = word()
        made = [customer(shop, city=city, name=name)["id"] for name in "ECABD"]
        seen, sizes, after = [], [], {}
        while after is not None:
            page = shop.get("/customers", params={"city": city, "size": 2} | after)
            seen += ids(page)
            sizes.append(len(page.json()["items"]))
            after = {"after": page.json()["next"]} if page.json()["next"] else None

        assert (seen, sizes) == ([made[at] for at in (2, 3, 1, 4, 0)], [2, 2, 1])

    def test_names_are_found_by_how_they_begin(self, shop):
        """Whatever the case of the letters, and in one city or in all."""
        name = word()
        made = [customer(shop, name=f"{name.upper()} {at}", city=f"{name}{at}")["id"] for at in range(2)]
        customer(shop, name=f"not {name}")

        assert ids(shop.get("/customers", params={"q": f"{name} "})) == made
        assert ids(shop.get("/customers", params={"q": name, "city": f"{name}1"})) == made[1:]

    def test_nobody_is_an_empty_list(self, shop):
        """Not an error."""
        answer = shop.get("/customers", params={"city": word()})

        assert (ids(answer), answer.json()["next"]) == ([], None)

    def test_a_list_has_an_etag(self, shop):
        """As long as nothing of it changes, the client is told to keep what it has."""
        city = word()
        made = customer(shop, city=city)
        first = shop.get("/customers", params={"city": city})
        tag = first.headers["etag"]
        known = {"If-None-Match": f'"other", W/{tag.removeprefix("W/")}'}

        unchanged = shop.get("/customers", params={"city": city}, headers=known)
        shop.put(customer_path(made["id"]), json=body_of(made, notes="new"))
        changed = shop.get("/customers", params={"city": city}, headers=known)

        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
        assert (changed.status_code, changed.json()["items"][0]["notes"]) == (200, "new")
        assert changed.headers["etag"] != tag

    def test_a_list_has_another_etag_with_another_member(self, shop):
        """Also where nothing that was there has changed."""
        city = word()
        customer(shop, city=city)
        tag = shop.get("/customers", params={"city": city}).headers["etag"]
        customer(shop, city=city)

        answer = shop.get("/customers", params={"city": city}, headers={"If-None-Match": tag})

        assert len(ids(answer)) == 2

    @pytest.mark.parametrize("params", [{"size": "0"}, {"size": "101"}, {"size": "x"}, {"after": "nonsense"}], ids=str)
    def test_what_cannot_be_asked(self, shop, params):
        """The client's mistake, not the server's."""
        assert_problem(shop.get("/customers", params=params), 400, 422)


class CustomerDetails:
    """POST /customers, GET and PUT /customers/{id}."""

    def test_a_customer_is_made_and_read(self, shop):
        """It has an id, which the server chose, and everything that was sent."""
        sent = {
            "name": "Hana",
            "city": "Kyōto",
            "notes": "Tea, and 'quotes'",
            "tags": ["x"],
            "email": f"{word()}@x.org",
        }

        made = customer(shop, **sent)

        assert made == sent | {"id": made["id"]}
        assert made["id"].startswith("customers/")

    def test_what_may_be_left_out(self, shop):
        """A name and a city make a customer."""
        made = created(shop, "/customers", {"name": "Ivo", "city": "Split"})

        assert body_of(made) == {"name": "Ivo", "city": "Split", "notes": "", "tags": [], "email": None}

    @pytest.mark.parametrize("key", ["customers/nobody", "nobody", "orders/first", "customers/\0", "a/b/c", "ä" * 400])
    def test_there_is_no_such_customer(self, shop, key):
        """Whatever the reason: no such document, one of another kind, or no id at all."""
        path = customer_path(key)
        body = {"name": "Ivo", "city": "Split"}

        assert_problem(shop.get(path), 404)
        assert_problem(shop.put(path, json=body), 404)
        assert_problem(shop.put(path, json=body, headers={"If-Match": '"1"'}), 404)

    def test_an_id_may_stand_in_a_path_as_it_is(self, shop):
        """With its slash."""
        assert shop.get("/customers/customers/ada").json()["name"] == "Ada's Teahouse"

    def test_an_etag_spares_the_transfer(self, shop):
        """Of one customer, too."""
        path = customer_path(customer(shop)["id"])
        tag = shop.get(path).headers["etag"]

        known = shop.get(path, headers={"If-None-Match": tag})
        anything = shop.get(path, headers={"If-None-Match": "*"})
        other = shop.get(path, headers={"If-None-Match": '"1"'})

        assert [(each.status_code, each.headers["etag"]) for each in (known, anything, other)] == [
            (304, tag),
            (304, tag),
            (200, tag),
        ]
        assert known.content == b""

    @pytest.mark.parametrize(
        "body",
        [
            {"city": "Oslo"},
            {"name": "", "city": "Oslo"},
            {"name": 5, "city": "Oslo"},
            {"name": "Gil", "city": "Oslo", "tags": "x"},
            {"name": "Gil", "city": "Oslo", "notes": "\0"},
            ["Gil"],
        ],
        ids=str,
    )
    def test_what_is_no_customer(self, shop, body):
        """It is refused, whether it is to be made or changed, and nothing is written."""
        made = customer(shop)

        assert_problem(shop.post("/customers", json=body), 422)
        assert_problem(shop.put(customer_path(made["id"]), json=body), 422)
        assert shop.get(customer_path(made["id"])).json() == made

    def test_what_is_no_json(self, shop):
        """It is refused, too."""
        headers = {"Content-Type": "application/json"}

        assert_problem(shop.post("/customers", content=b'{"name": ', headers=headers), 400, 422)

    def test_an_email_belongs_to_one_customer(self, shop):
        """To the one who had it first, about whom the others learn nothing."""
        email = f"{word()}@x.org"
        first, other = customer(shop, email=email), customer(shop)

        again = shop.post("/customers", json={"name": "Gil", "city": "Oslo", "email": email})
        taken = shop.put(customer_path(other["id"]), json=body_of(other, email=email))

        for answer in again, taken:
            assert_problem(answer, 409, code="ds125")
            assert first["id"] not in answer.text


class CustomerEdits:
    """Two clients, one customer."""

    def test_the_last_write_wins_where_nobody_asks(self, shop):
        """A PUT without conditions replaces what is there, and names the new version."""
        made = customer(shop, tags=["a"])
        path = customer_path(made["id"])

        shop.put(path, json=body_of(made, city="Bergen"))
        answer = shop.put(path, json=body_of(made, notes="mine"))

        read = shop.get(path)
        assert (answer.status_code, answer.json()) == (200, made | {"notes": "mine"})
        assert (read.json(), read.headers["etag"]) == (answer.json(), answer.headers["etag"])

    def test_if_match(self, shop):
        """It holds for the version that the client has read; after that it is stale."""
        made = customer(shop)
        path = customer_path(made["id"])
        matching = {"If-Match": f'"other", {shop.get(path).headers["etag"]}'}

        first = shop.put(path, json=body_of(made, notes="first"), headers=matching)
        second = shop.put(path, json=body_of(made, notes="second"), headers=matching)

        assert first.status_code == 200
        assert_problem(second, 412)
        assert shop.get(path).json()["notes"] == "first"

    def test_any_version_matches_a_star(self, shop):
        """There has to be one."""
        made = customer(shop)

        answer = shop.put(customer_path(made["id"]), json=body_of(made, notes="new"), headers={"If-Match": "*"})

        assert (answer.status_code, answer.json()["notes"]) == (200, "new")

    def test_a_weak_tag_never_matches(self, shop):
        """`If-Match` compares strongly."""
        made = customer(shop)
        path = customer_path(made["id"])
        weak = {"If-Match": f"W/{shop.get(path).headers['etag']}"}

        assert_problem(shop.put(path, json=body_of(made, notes="new"), headers=weak), 412)

    def test_a_change_vector_in_the_body(self, shop):
        """As a form sends it along; it is what stands between the quotes of the ETag."""
        made = customer(shop)
        path = customer_path(made["id"])
        vector = shop.get(path).headers["etag"].strip('"')

        first = shop.put(path, json=body_of(made, notes="first", changeVector=vector))
        second = shop.put(path, json=body_of(made, notes="second", changeVector=vector))

        assert (first.status_code, first.json()) == (200, made | {"notes": "first"})
        assert_problem(second, 409, code="ds111")
        assert shop.get(path).json()["notes"] == "first"

    def test_nobody_overwrites_what_they_have_not_seen(self, shop):
        """Of eight clients that have read the same version and write at the same time, one does."""
        made = customer(shop)
        path = customer_path(made["id"])
        tag = shop.get(path).headers["etag"]

        def put(number):
            return lambda: shop.put(path, json=body_of(made, notes=str(number)), headers={"If-Match": tag})

        assert at_once(*map(put, range(8))) == {200: 1, 412: 7}


class Orders:
    """GET and POST /orders, GET /orders/{id}, GET and PUT /stock/{product}."""

    def test_the_seeds_of_a_customer(self, shop):
        """Newest first, each with its customer's name, which comes in the same request to the server."""
        items = orders_of(shop, "customers/ada")

        assert [item["id"] for item in items] == ["orders/third", "orders/first"]
        assert {item["customerName"] for item in items} == {"Ada's Teahouse"}
        assert [Decimal(str(each["price"])) for each in items[1]["lines"]] == [
            Decimal(each["price"]) for each in ORDERS[0]["lines"]
        ]

    def test_an_order_takes_from_the_stock(self, shop):
        """The document and the rows of the table are written together."""
        buyer, tea, mugs = customer(shop, name="Jo"), product(shop, 10), product(shop, 5)

        order = created(shop, "/orders", {"customer": buyer["id"], "lines": [line(tea, 3, "4.25"), line(mugs, 5)]})

        assert (in_stock(shop, tea), in_stock(shop, mugs)) == (7, 0)
        assert order["customer"] == buyer["id"]
        assert [(each["product"], each["quantity"], Decimal(str(each["price"]))) for each in order["lines"]] == [
            (tea, 3, Decimal("4.25")),
            (mugs, 5, Decimal("1.50")),
        ]
        assert [(each["id"], each["customerName"]) for each in orders_of(shop, buyer["id"])] == [(order["id"], "Jo")]

    def test_there_is_no_such_order(self, shop):
        """Whatever the reason."""
        for key in "orders/nothing", "customers/ada", "nothing":
            assert_problem(shop.get(f"/orders/{quote(key, safe='')}"), 404)

    def test_too_little_stock(self, shop):
        """Neither the order is written nor anything taken, also not what there was enough of."""
        buyer, tea, mugs = customer(shop), product(shop, 10), product(shop, 1)

        answer = shop.post("/orders", json={"customer": buyer["id"], "lines": [line(tea, 3), line(mugs, 2)]})

        assert_problem(answer, 409)
        assert (in_stock(shop, tea), in_stock(shop, mugs)) == (10, 1)
        assert orders_of(shop, buyer["id"]) == []

    def test_lines_of_one_product_count_together(self, shop):
        """Twice two of three is one too many."""
        buyer, tea = customer(shop), product(shop, 3)

        answer = shop.post("/orders", json={"customer": buyer["id"], "lines": [line(tea, 2), line(tea, 2)]})

        assert_problem(answer, 409)
        assert in_stock(shop, tea) == 3

    def test_a_product_that_was_never_there(self, shop):
        """It is too little stock, too."""
        body = {"customer": customer(shop)["id"], "lines": [line(word(), 1)]}

        assert_problem(shop.post("/orders", json=body), 409)

    @pytest.mark.parametrize("key", ["customers/nobody", "orders/first", "", "customers/\0"])
    def test_an_order_of_nobody(self, shop, key):
        """It is refused, and nothing is taken."""
        tea = product(shop, 3)

        assert_problem(shop.post("/orders", json={"customer": key, "lines": [line(tea, 1)]}), 404, 422)
        assert in_stock(shop, tea) == 3

    @pytest.mark.parametrize(
        "changes",
        [{"quantity": 0}, {"quantity": -1}, {"quantity": "x"}, {"price": "x"}, {"price": "-1"}, None],
        ids=str,
    )
    def test_what_is_no_order(self, shop, changes):
        """Least of all does one fill the stock."""
        buyer, tea = customer(shop), product(shop, 3)
        lines = [] if changes is None else [line(tea, 1) | changes]

        assert_problem(shop.post("/orders", json={"customer": buyer["id"], "lines": lines}), 422)
        assert (in_stock(shop, tea), orders_of(shop, buyer["id"])) == (3, [])

    def test_everybody_orders_at_once(self, shop):
        """As many get something as there is, in whatever order the lines stand, and nobody gets an error."""
        buyer, tea, mugs = customer(shop), product(shop, 4), product(shop, 4)
        lines = [line(tea, 1), line(mugs, 1)]

        def post(number):
            body = {"customer": buyer["id"], "lines": lines if number % 2 else lines[::-1]}
            return lambda: shop.post("/orders", json=body)

        assert at_once(*map(post, range(8))) == {201: 4, 409: 4}
        assert (in_stock(shop, tea), in_stock(shop, mugs), len(orders_of(shop, buyer["id"]))) == (0, 0, 4)

    def test_the_stock(self, shop):
        """It is read and filled up, and never negative."""
        tea = product(shop, 3)

        answer = shop.put(f"/stock/{tea}", json={"quantity": 8})

        assert (answer.status_code, answer.json()) == (200, {"product": tea, "quantity": 8})
        assert shop.get(f"/stock/{tea}").json() == {"product": tea, "quantity": 8}
        assert_problem(shop.put(f"/stock/{tea}", json={"quantity": -1}), 422)
        assert_problem(shop.get(f"/stock/{word()}"), 404)


class Search:
    """GET /search?q=, over the notes of customers, in English."""

    def test_the_best_comes_first(self, shop):
        """Who is noted for it more often; other forms of the word are found as well."""
        topic = word()
        little = customer(shop, notes=f"Once {topic}, and a great many other things that have nothing to do with it.")
        much = customer(shop, notes=f"{topic} {topic} {topic} {topic}")
        forms = customer(shop, notes=f"Delivers {topic}")
        customer(shop, name=topic, notes="something else")

        assert ids(shop.get("/search", params={"q": topic}))[0] == much["id"]
        assert set(ids(shop.get("/search", params={"q": topic}))) == {little["id"], much["id"], forms["id"]}
        assert ids(shop.get("/search", params={"q": f"delivered {topic}"})) == [forms["id"]]

    @pytest.mark.parametrize("q", ["\"' & | ! ( <->", "", "%", "-"])
    def test_whatever_is_typed_in(self, shop, q):
        """It may find nothing, and is no error."""
        assert isinstance(ids(shop.get("/search", params={"q": q})), list)

    def test_something_has_to_be_asked(self, shop):
        """A search without `q` is a mistake."""
        assert_problem(shop.get("/search"), 400, 422)


class ShopContract(CustomerLists, CustomerDetails, CustomerEdits, Orders, Search):
    """All of it. A subclass names the module that is started as `example`."""

    example: str
