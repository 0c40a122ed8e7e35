"""A page for people: a form that does not overwrite what its user has not seen."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from docsession import ConcurrencyException
from docsession.contrib.django import DocumentForm, load_or_404
from examples.django_shop.documents import Customer


class CustomerForm(DocumentForm[Customer]):
    """What can be changed of a customer."""

    name = forms.CharField()
    city = forms.CharField()
    notes = forms.CharField(required=False, widget=forms.Textarea)


@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, key: str) -> HttpResponse:
    """Show the form, and take what comes back."""
    customer = load_or_404(key, Customer)
    form = CustomerForm(request.POST or None, document=customer)
    if request.method == "POST" and form.is_valid():
        try:
            form.save()
        except ConcurrencyException:
            pass  # by a moment; the form tells
        else:
            return redirect("edit", key)
    return render(
        request, "django_shop/edit.html", {"form": form, "key": key}, status=409 if form.has_conflict else 200
    )
