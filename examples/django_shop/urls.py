"""Where everything is."""

from django.contrib import admin
from django.urls import path

from examples.django_shop import customers, orders, pages

urlpatterns = [
    path("customers", customers.Customers.as_view()),
    path("customers/<path:key>", customers.OneCustomer.as_view(), name="customer"),
    path("search", customers.search_customers),
    path("orders", orders.Orders.as_view()),
    path("orders/<path:key>", orders.one_order, name="order"),
    path("stock/<str:product>", orders.StockOf.as_view()),
    path("edit/<path:key>", pages.edit, name="edit"),
    path("admin/", admin.site.urls),
]
handler404 = "examples.django_shop.problems.not_found"
