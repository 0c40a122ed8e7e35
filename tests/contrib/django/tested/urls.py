from django.db import transaction
from django.http import JsonResponse
from django.urls import path

from docsession.contrib.django import get_async_session, get_session
from tests.contrib.django.project.documents import Customer
from tests.contrib.django.project.models import Stock


@transaction.atomic
def buy(request):
    Stock.objects.create(product="tea", quantity=1)
    session = get_session()
    customer = Customer("Ada")
    session.store(customer)
    session.save_changes()
    return JsonResponse({"id": customer.id})


async def count(request):
    return JsonResponse({"count": await get_async_session().query(Customer).count()})


urlpatterns = [path("buy", buy), path("count", count)]
