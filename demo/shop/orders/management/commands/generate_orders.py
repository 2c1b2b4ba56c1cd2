"""Fill the shop with made-up orders."""

import random
from datetime import UTC, datetime, timedelta

from django.core.management.base import BaseCommand
from django.db import transaction

from orders.catalogue import UNIT_PRICES
from orders.models import Customer, Order, OrderLine

PRODUCTS = list(UNIT_PRICES)
LINES_PER_ORDER = 4
LINES_PER_BATCH = 10_000
CUSTOMERS = 2000
#: The others have only registered.
ORDERING_CUSTOMERS = 1800
FIRST_NAMES = ["Ada", "Bruno", "Chloe", "Daniel", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas"]
LAST_NAMES = ["Ahmed", "Berg", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Horvat", "Ito", "Jansen"]
OPENING_DAY = datetime(2024, 1, 1, tzinfo=UTC)


class Command(BaseCommand):
    """Top the shop up to a number of generated order lines.

    The same number and seed always give the same orders. Each order depends only on the seed
    and on its own position, so that topping up gives what one larger run would have given.
    """

    help = "Generate orders until there are as many generated order lines as asked for."

    def add_arguments(self, parser):
        """Declare the options."""
        parser.add_argument("--lines", type=int, default=200_000, help="order lines to have (200000)")
        parser.add_argument("--seed", type=int, default=1, help="another seed gives other orders (1)")

    @transaction.atomic
    def handle(self, *, lines, seed, **options):
        """Create the missing lines, all of them or none."""
        present = OrderLine.objects.filter(order__source=Order.Source.GENERATED).count()
        customers = generated_customers()[:ORDERING_CUSTOMERS]
        for start in range(present, lines, LINES_PER_BATCH):
            create_lines(range(start, min(start + LINES_PER_BATCH, lines)), customers, seed)
        self.stdout.write(f"{max(present, lines)} generated order lines, {max(lines - present, 0)} of them new.")


def generated_customers():
    """Return the made-up customers, creating those that are missing."""
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    emails = [f"customer{number:04}@example.com" for number in range(CUSTOMERS)]
    Customer.objects.bulk_create(
        [Customer(name=names[number % len(names)], email=email) for number, email in enumerate(emails)],
        ignore_conflicts=True,
    )
    by_email = Customer.objects.in_bulk(emails, field_name="email")
    return [by_email[email] for email in emails]


def create_lines(indexes, customers, seed):
    """Create the order lines numbered ``indexes``, and their orders where they are missing."""
    positions = range(indexes.start // LINES_PER_ORDER, (indexes.stop - 1) // LINES_PER_ORDER + 1)
    references = {position: f"G{seed}-{position:07}" for position in positions}
    existing = Order.objects.in_bulk(references.values(), field_name="reference")
    orders, lines = [], []
    for position, reference in references.items():
        dice = random.Random(f"{seed}/{position}")
        customer = dice.choice(customers)
        order = existing.get(reference)
        if order is None:
            order = Order(
                customer=customer,
                reference=reference,
                created_at=OPENING_DAY + timedelta(minutes=position),
                source=Order.Source.GENERATED,
            )
            orders.append(order)
        for index in range(position * LINES_PER_ORDER, (position + 1) * LINES_PER_ORDER):
            # Rolled even for a line that exists, to leave the dice as the next line expects them.
            product, quantity = dice.choice(PRODUCTS), dice.randint(1, 5)
            if index in indexes:
                lines.append(
                    OrderLine(
                        order=order,
                        product=product,
                        quantity=quantity,
                        unit_price_cents=UNIT_PRICES[product],
                    )
                )
    Order.objects.bulk_create(orders)
    OrderLine.objects.bulk_create(lines)
