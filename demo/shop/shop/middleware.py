"""Middleware of the project."""

from shop.version import VERSION


class VersionHeaderMiddleware:
    """Name the version that answered, so that a client can tell releases apart."""

    def __init__(self, get_response):
        """Keep the next handler in the chain."""
        self.get_response = get_response

    def __call__(self, request):
        """Add the header to whatever response comes back."""
        response = self.get_response(request)
        response.headers["X-Shop-Version"] = VERSION
        return response
