"""The order form."""

from django import forms
from django.core.exceptions import ValidationError

from orders.catalogue import UNIT_PRICES
from orders.models import Customer, Order
from orders.models.order import new_reference


class OrderForm(forms.Form):
    """Order one or more products, the same quantity of each.

    ``reference`` is for clients that must recognise their order later, even if the answer
    to their request never reaches them.
    """

    email = forms.EmailField(label="Your e-mail address")
    product = forms.MultipleChoiceField(
        label="Products",
        choices=[(name, name) for name in UNIT_PRICES],
        widget=forms.CheckboxSelectMultiple,
    )
    quantity = forms.IntegerField(min_value=1, max_value=100, initial=1)
    reference = forms.SlugField(required=False, max_length=64, widget=forms.HiddenInput)

    def clean_reference(self):
        """Refuse a reference that is taken, or whose page this form's own address would hide."""
        reference = self.cleaned_data["reference"]
        if reference == "new" or Order.objects.filter(reference=reference).exists():
            raise ValidationError("This reference is already taken.", code="taken")
        return reference

    def save(self):
        """Store the order, for the customer known by the address or for a new one."""
        email = self.cleaned_data["email"].lower()
        customer, _ = Customer.objects.get_or_create(email=email, defaults={"name": email.partition("@")[0]})
        reference = self.cleaned_data["reference"] or new_reference()
        order = Order.objects.create(customer=customer, reference=reference)
        for product in self.cleaned_data["product"]:
            order.lines.create(
                product=product,
                quantity=self.cleaned_data["quantity"],
                unit_price_cents=UNIT_PRICES[product],
            )
        return order
