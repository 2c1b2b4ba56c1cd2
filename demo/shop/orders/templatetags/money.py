"""Amounts of money in templates."""

from django import template

register = template.Library()


@register.filter
def euros(cents):
    """Show an amount of cents in euros; ``{{ 1250|euros }}`` gives ``€12.50``."""
    return f"€{cents // 100:,}.{cents % 100:02}"
