"""The example answers as all shops do."""

from tests.contrib.shop_contract import ShopContract


class TestTheShop(ShopContract):
    """Started as its README says, and driven over HTTP."""

    example = "examples.flask_shop"
