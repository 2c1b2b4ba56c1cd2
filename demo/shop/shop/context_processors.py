"""Context processors of the project."""

from shop.version import VERSION


def version(request):
    """Let every template show which version rendered it."""
    return {"version": VERSION}
