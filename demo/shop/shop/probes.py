"""Pages that misbehave on request, to observe what stands in front of the shop."""

import time

from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from shop.version import VERSION

LONGEST_WAIT = 30
STATUS_CODES = {404, 500, 502, 503}


def slow(request):
    """Stay in flight for ``?seconds=``, then tell how long it took and which version answered."""
    text = request.GET.get("seconds", "3")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        return HttpResponseBadRequest(
            f"seconds must be a number from 0 to {LONGEST_WAIT}.\n", content_type="text/plain"
        )
    time.sleep(seconds)
    return HttpResponse(f"Answered after {seconds:g} seconds by version {VERSION}.\n", content_type="text/plain")


@csrf_exempt
def status(request, code):
    """Answer any method with the shop's own error page for ``code``."""
    if code not in STATUS_CODES:
        raise Http404(f"Only {sorted(STATUS_CODES)} can be asked for.")
    return render(request, "status.html", {"code": code}, status=code)
