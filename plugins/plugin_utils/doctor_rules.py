"""The traps that a configuration can fall into, a function for each; docs/traps.md tells about those with a number.

A finding is an error where visitors would get a wrong answer or get in, and a warning where an answer could be better.
What a finding says names directives, addresses and files, and never values that might be secret.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Optional

from ansible_collections.intermission.django.plugins.module_utils.times import parse_instant
from ansible_collections.intermission.django.plugins.plugin_utils.doctor import (
    CHALLENGE,
    ERROR,
    PAGES,
    RULES,
    WARNING,
    Case,
    ErrorPage,
    Finding,
    at,
    of_the_role,
    refusal,
    rule,
)
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_gate import (
    ENDS,
    gate_variables,
    is_flag_test,
    is_volatile,
    leads_away,
    own_flag_tests,
    used_maps,
    variables,
)
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import (
    PASSES,
    Directive,
    addresses,
    answering,
    parse,
    server_names,
)

TOKEN = f"{CHALLENGE}token"
A_PAGE = f"{PAGES}page"
SECURITY_HEADERS = ("strict-transport-security", "content-security-policy", "x-frame-options")
# The pages say them themselves, each as it has to be for a page
OF_THE_PAGES = ("content-security-policy", "cache-control")
SAFE_IN_IF = ("return", "rewrite", "set", "break")
DEFAULT_PID_FILE = "/run/nginx.pid"
DEFAULT_CONNECTIONS = 512
RESTART_SECONDS = 3
CONNECTIONS_PER_REQUEST = 2
LOOPBACK = ("127.", "[::1]", "localhost")
BACKEND = re.compile(r"(?:\w+://)?(unix:[^:]+|[^/]+)")
CONFLICT = re.compile(r'conflicting server name "([^"]*)" on (\S+), ignored')
BY_HAND_FOR = timedelta(days=1)


def own_gate(spared: str) -> str:
    """Write the lines of a gate that spares a path."""
    return f"set $closed 0; if (-e FLAG) {{ set $closed 1; }} if ({spared}) {{ set $closed 0; }} if ($closed) {{ return 503; }}"


def static(location: Directive) -> bool:
    """Tell whether a location can only give files."""
    return location.passes() is None and not location.has("return")


def listed(words: Iterable[object]) -> str:
    """Write a list of words."""
    return ", ".join(str(word) for word in words)


@rule
def unread(case: Case) -> Iterator[Finding]:
    """Name the files whose text is not understood, for nothing is known about what stands in them."""
    for file, reason in case.tree.unread.items():
        yield Finding(
            "unread",
            WARNING,
            file,
            None,
            f"The doctor does not understand this file: {reason}",
            "Nginx takes it, so it may be all right, but what stands in it has not been looked at in full.",
            "Look at it yourself with docs/traps.md at hand.",
        )


@rule
def n1_named_location(case: Case) -> Iterator[Finding]:
    """Find error pages that are files in a named location."""
    for server in case.servers:
        for page in case.error_pages(server):
            location = case.location(server, page.target)
            if page.accidents and page.target.startswith("@") and location and static(location):
                yield at(
                    "N1",
                    ERROR,
                    page.directive,
                    f"error_page for {listed(page.accidents)} leads to the named location {page.target}, which serves a file",
                    "A named location keeps the visitor's method, and Nginx gives files to GET and HEAD only: POST gets 405.",
                    f"Lead to an address instead: error_page {page.accidents[0]} /maintenance.html; with location = /maintenance.html "
                    "{ internal; client_max_body_size 0; }, which a gate of yours has to spare. Or leave it to Intermission's gate.",
                )


@rule
def n2_gate_closes_its_own_page(case: Case) -> Iterator[Finding]:
    """Find gates of a server that close the address of their own error page."""
    for server, closing, page in own_gates(case):
        if page and page.target.startswith("/") and case.closed_by(server, page.target):
            yield at(
                "N2",
                ERROR,
                closing,
                f"return {closing.args[0]} in an if of the server closes {page.target} too, the page of that error",
                "The server's if is passed again on the way to the page. Visitors get Nginx's built-in page.",
                f"Exempt the page: {own_gate(f'$uri = {page.target}')}. Or leave it to Intermission's gate.",
            )


def own_gates(case: Case) -> Iterator[tuple[Directive, Directive, Optional[ErrorPage]]]:
    """Give the servers that close themselves, the return that does so, and its error page."""
    for server in case.servers:
        closing = case.closed_by(server, "/")
        if closing is not None:
            yield server, closing, case.error_page(closing, int(closing.args[0]))


@rule
def n5_retry_after_without_always(case: Case) -> Iterator[Finding]:
    """Find Retry-After headers that an error does not get."""
    for server in case.servers:
        for header in [*server.headers(), *server.within("add_header")]:
            if header.args[0].lower() == "retry-after" and header.args[-1] != "always":
                yield at(
                    "N5",
                    ERROR,
                    header,
                    "add_header Retry-After without always",
                    "Nginx adds such a header to successful answers only: the 503 leaves without it.",
                    "Write always before the semicolon, in the location of the page: in a server every answer would have it.",
                )


@rule
def n6_lost_headers(case: Case) -> Iterator[Finding]:
    """Find security headers of a server that its locations, or the pages, do not have."""
    for server in case.servers:
        wanted = {one.args[0].lower(): one for one in server.headers() if one.args[0].lower() in SECURITY_HEADERS}
        for location in case.locations(server):
            held = {one.args[0].lower() for one in location.headers()}
            lost = [one.args[0] for name, one in wanted.items() if name not in held]
            if lost and location.has("add_header"):
                yield at(
                    "N6",
                    WARNING,
                    location.own("add_header")[0],
                    f"add_header in location {location.path} takes the server's {listed(lost)} away",
                    "add_header of a location replaces all that a server has.",
                    f"Say {listed(lost)} again in the location; from Nginx 1.29.3 on, "
                    "add_header_inherit merge; in this location is enough.",
                )
        pages = [page for page in case.pages(server) if page.has("add_header")]
        for name, header in wanted.items():
            if name not in OF_THE_PAGES and any(
                name not in {one.args[0].lower() for one in page.headers()} for page in pages
            ):
                yield at(
                    "N6",
                    WARNING,
                    header,
                    f"{header.args[0]} is not on the pages of maintenance and of accidents",
                    "The pages have headers of their own, which replace those of the server.",
                    f"Set maintenance_page_headers: {{{header.args[0]}: ...}}, with the same value. In the role's own server, "
                    "Strict-Transport-Security is maintenance_page_tls.hsts.",
                )


@rule
def n6_merged_headers(case: Case) -> Iterator[Finding]:
    """Find headers of a server that come to the pages beside those that the pages have themselves."""
    found: dict[tuple[Directive, str], Directive] = {}
    for server in case.servers:
        for page in case.pages(server):
            own = {one.args[0].lower() for one in page.own("add_header")}
            for header in page.headers():
                name = header.args[0].lower()
                merge = page.value("add_header_inherit")
                if merge and header.parent is not page and name in own and name in OF_THE_PAGES:
                    found[merge, name] = header
    for (merge, name), header in found.items():
        policy = name == "content-security-policy"
        yield at(
            "N6",
            ERROR if policy else WARNING,
            merge,
            f"add_header_inherit merge gives the pages a second {header.args[0]}, from {header.file}:{header.line}",
            "A browser obeys both policies, and yours does not know the pages' style and script: visitors get a bare page that does "
            "not bring them back."
            if policy
            else "The pages are not to be kept, and say so; the other one may have caches keep them.",
            "Write add_header_inherit merge; only into the locations that need it; what the pages shall have is "
            "maintenance_page_headers.",
        )


@rule
def n7_status_is_changed(case: Case) -> Iterator[Finding]:
    """Find error pages that make a success or a redirect of an error."""
    for server in case.servers:
        for page in case.error_pages(server):
            if not page.accidents:
                continue
            location = case.location(server, page.target)
            hands_on = location is not None and not static(location)
            if page.leads_away:
                what, becomes = "redirects visitors to another address", "302"
            elif page.response == "" and not hands_on:
                what, becomes = "has an equals sign with nothing behind it", "200"
            elif page.response and page.response[0] in "23":
                what, becomes = f"changes the status to {page.response}", page.response
            else:
                continue
            yield at(
                "N7",
                ERROR,
                page.directive,
                f"error_page for {listed(page.accidents)} {what}",
                f"Visitors, search engines and monitors get {becomes}, as if all was well, and index or cache the page.",
                f"Write error_page {page.accidents[0]} /maintenance.html; without an equals sign, to an address of this server.",
            )


@rule
def n9_page_cannot_be_read(case: Case) -> Iterator[Finding]:
    """Find pages that are missing, or that Nginx's workers may not read."""
    for server in case.servers:
        flags = tested_flags(case, server).values()
        for page in case.error_pages(server):
            file = case.file_of(server, page.target) if page.accidents and "$" not in page.target else None
            # A page that is its own flag is there only while the site is closed
            if file and (fault := page_fault(case, file)) and not (file in flags and fault[1] == 404):
                yield at(
                    "N9",
                    ERROR,
                    page.directive,
                    f"error_page for {listed(page.accidents)}: {file} {fault[0]}",
                    f"Visitors get {fault[1]} instead of {page.accidents[0]}.",
                    "Put a page there that all may read, or take the line out.",
                )
    for file in case.reading["pages"]:
        if (fault := page_fault(case, file)) and not file.endswith(".template"):
            yield Finding(
                "N9",
                ERROR,
                file,
                None,
                f"The page {fault[0]}",
                "Visitors get a plain page of Nginx's; an accident's page that may not be read even makes 403 of 502.",
                "Apply the role again: ansible-playbook deploy.yml",
            )


def page_fault(case: Case, file: str) -> Optional[tuple[str, int]]:
    """Say why Nginx could not serve a file, and the status that this makes."""
    look = case.looks.get(file)
    if look is None or (look["exists"] and look["readable"] and not look["closed"]):
        return None
    if look["closed"]:
        return f"cannot be reached by the worker ({look['user']}): {look['closed']} is closed to it", 403
    return (f"may not be read by the worker ({look['user']})", 403) if look["exists"] else ("is not there", 404)


@rule
def n10_flag_cannot_be_seen(case: Case) -> Iterator[Finding]:
    """Find flags that Nginx would not see."""
    where = (
        "A flag that Nginx cannot see does not exist for it: the site stays open, and only the error log has a line."
    )
    flags: dict[str, tuple[str, Optional[int]]] = {case.state: (case.state, None)}
    for server in case.servers:
        for test, flag in tested_flags(case, server).items():
            flags.setdefault(posixpath.dirname(flag), (test.file, test.line))
    for directory, (file, line) in flags.items():
        look = case.looks.get(directory)
        if look is None:
            continue
        if look["closed"]:
            yield Finding(
                "N10",
                ERROR,
                file,
                line,
                f"Nginx's worker ({look['user']}) may not traverse {look['closed']}, above the flag",
                where,
                f"Let it: chmod o+x {look['closed']}; or keep the flag elsewhere, for instance below /var/lib.",
            )
        elif look["other"]:
            yield Finding(
                "N10",
                ERROR,
                file,
                line,
                f"The Nginx that runs has another {directory} than everybody else, or none",
                f"{where} It lives in a file system of its own: PrivateTmp, ProtectHome, a chroot or a container does that.",
                "Keep the flag where both see it, for instance below /var/lib, or change the service of Nginx.",
            )


@rule
def n10_symlinks_are_not_followed(case: Case) -> Iterator[Finding]:
    """Find where the gate may not follow the flag, which is a symlink."""
    for server in case.gated:
        tests = [test for test in own_flag_tests(server) if any(case.state in word for word in test.args)]
        barriers = [test.value("disable_symlinks") for test in tests]
        for barrier in dict.fromkeys(one for one in barriers if one and one.args[0] != "off"):
            owner = barrier.args[0] == "if_not_owner"
            yield at(
                "N10",
                WARNING if owner else ERROR,
                barrier,
                f"disable_symlinks {barrier.args[0]} holds where the gate looks for its flag",
                "The flag of a window is a symlink. Nginx does not follow it"
                f"{' where its target belongs to somebody else' if owner else ''}: the flag does not exist for it, and the site "
                "stays open.",
                "Write disable_symlinks off; in the server. Yours goes into the locations that need it.",
            )


def tested_flags(case: Case, server: Directive) -> dict[Directive, str]:
    """Give the user's own tests of flags, each with the path that it looks at, where the configuration says it."""
    found = {}
    for test in own_flag_tests(server):
        root = test.value("root")
        path = test.args[1].replace("$document_root", root.args[0] if root else "$document_root")
        if "$" not in path and path.startswith("/") and not case.installed(test):
            found[test] = posixpath.normpath(path)
    return found


@rule
def n11_cache_hides_the_flag(case: Case) -> Iterator[Finding]:
    """Find caches of files that cover a test of a flag."""
    for server in case.servers:
        for test in own_flag_tests(server):
            cache, errors = test.value("open_file_cache"), test.value("open_file_cache_errors")
            if cache is None or cache.args[0] == "off":
                continue
            both = errors is not None and errors.args[0] == "on"
            yield at(
                "N11",
                ERROR if both else WARNING,
                cache,
                f"open_file_cache holds where a flag is tested ({test.file}:{test.line})",
                "Nginx may notice only after open_file_cache_valid, by default a minute, that the flag "
                f"{'has come or gone' if both else 'has gone'}.",
                "Write open_file_cache off; in the server of the test, and the cache into the locations that need it.",
            )


@rule
def n12_fallback_is_cancelled(case: Case) -> Iterator[Finding]:
    """Find error pages that take the place of the role's fallback."""
    for server in case.gated:
        ours = [ErrorPage(one) for one in server.own("error_page") if of_the_role(one.args[-1])]
        codes = [code for page in ours for code in page.codes]
        for location in case.locations(server):
            holding = location.values("error_page")
            missing = [code for code in codes if case.error_page(location, code) is None]
            if location.passes() and missing and holding:
                yield at(
                    "N12",
                    WARNING,
                    holding[0],
                    f"error_page below location {location.path} cancels the server's for {listed(missing)}",
                    "A location with any error_page inherits none: when the app is away, visitors get Nginx's built-in page.",
                    "Say it again beside yours: " + " ".join(f"error_page {code} {PAGES}{code};" for code in missing),
                )
        for code in codes:
            first = case.error_page(server, code)
            if first and first.directive.parent is server and not of_the_role(first.target):
                yield at(
                    "N12",
                    WARNING,
                    first.directive,
                    f"error_page for {code} stands above the snippet's",
                    "Of two error pages for a status, Nginx takes the first: the fallback's page is never shown.",
                    "Take the line out, or put the include above it.",
                )


@rule
def n13_page_is_locked(case: Case) -> Iterator[Finding]:
    """Find pages of a gate of the user's own that are behind the lock of the server."""
    for server, page, place, location in own_pages(case):
        lock = lock_of(location or server)
        if lock:
            yield at(
                "N13",
                ERROR,
                place,
                f"{lock} holds for {page.target}, the page of {listed(page.accidents)}",
                "A lock protects the error page too: visitors get 401 or 403 instead of the page.",
                "Write into the location of the page: auth_basic off; allow all; satisfy any;",
            )


def lock_of(place: Directive) -> Optional[str]:
    """Name the directive that keeps visitors out of a place."""
    basic, request = place.value("auth_basic"), place.value("auth_request")
    rules = place.values("allow", "deny")
    satisfy = place.value("satisfy")
    denied = (
        any(one.name == "deny" and one.args[0] == "all" for one in rules)
        and [one.args[0] for one in rules if one.args[0] == "all" and one.name == "allow"] == []
    )
    open_to_all = any(one.name == "allow" and one.args[0] == "all" for one in rules)
    if satisfy is not None and satisfy.args[0] == "any" and open_to_all:
        return None
    if denied:
        return "deny all"
    for lock in (basic, request):
        if lock is not None and lock.args[0] != "off":
            return lock.name
    return None


def own_pages(case: Case) -> Iterator[tuple[Directive, ErrorPage, Directive, Optional[Directive]]]:
    """Give the error pages of the user's own gates: server, page, where to tell about it, and its location."""
    seen = []
    for closing in case.closings:
        page = closing.page
        if page is None or page.leads_away or (closing.server, page.target) in seen:
            continue
        seen.append((closing.server, page.target))
        location = case.location(closing.server, page.target)
        told = location if location is not None and location.path == page.target else page.directive
        yield closing.server, page, told, location


@rule
def n14_limits_answer_503(case: Case) -> Iterator[Finding]:
    """Find limits that turn visitors away with the status of maintenance."""
    for server in case.servers:
        shown: dict[Directive, Optional[ErrorPage]] = {}
        for place in case.locations(server) or [server]:
            for kind in ("limit_req", "limit_conn"):
                status = place.value(f"{kind}_status")
                if status is None or status.args[0] == "503":
                    for limit in place.values(kind):
                        shown[limit] = case.error_page(place, 503) or shown.get(limit)
        for limit, page in shown.items():
            yield at(
                "N14",
                ERROR if page else WARNING,
                limit,
                f"{limit.name} turns visitors away with 503{f', and shows them {page.target}' if page else ''}",
                "They, and search engines, take that for maintenance while the site is up.",
                f"Write {limit.name}_status 429; beside it.",
            )


@rule
def n15_answers_of_the_app_are_replaced(case: Case) -> Iterator[Finding]:
    """Find locations that replace the app's own 503."""
    for server in case.servers:
        for location in case.locations(server):
            handed = location.passes()
            page = case.error_page(location, 503)
            if handed is None or page is None:
                continue
            intercept = location.value(f"{handed.name.removesuffix('_pass')}_intercept_errors")
            if intercept is None or intercept.args[0] != "on":
                continue
            if not (case.installed(intercept) and case.installed(page.directive)):
                yield at(
                    "N15",
                    WARNING,
                    intercept,
                    f"{intercept.name} on, with an error_page for 503",
                    "What the app says in its own 503 is replaced, JSON and Retry-After included.",
                    f"Write {intercept.name} off; or leave 503 out of error_page: the gate does not need it.",
                )


@rule
def n16_site_without_gate(case: Case) -> Iterator[Finding]:
    """Find servers and locations of the site that stay open."""
    include = f"include snippets/intermission-{case.site}.conf;"
    for server in case.servers:
        place = (server.own("server_name") or [server])[0]
        if case.gate(server) is None and (serves := content(case, server)):
            yield at(
                "N16",
                ERROR if serves == "app" else WARNING,
                place,
                f"This server has names of the site, and no gate: {listed(addresses(server))}",
                "It stays open while the site is closed.",
                f"Write {include} into the server.",
            )
        yield from escapes_of_locations(case, server)
        yield from escapes_before_the_gate(case, server)
    if not case.servers:
        yield Finding(
            "N16",
            ERROR,
            case.tree.root.file,
            None,
            f"No server has one of the site's names: {listed(case.names)}",
            "The gate is in no server that answers for them, so nothing closes the site.",
            f"Set intermission_server_names to what visitors write, and write {include} into the site's server.",
        )


def content(case: Case, server: Directive) -> str:
    """Tell what a server gives to visitors: ``app``, ``files``, or nothing, where it only sends them elsewhere."""
    ended = case.visit(server, "/")
    if ended is not None and case.closed_by(server, "/") is None and (ended.name == "return" or leads_away(ended)):
        return ""
    root = case.location(server, "/")
    if root is not None and (root.has("return") or sends_what_is_missing_elsewhere(case, server, root)):
        return ""
    if next(iter(server.within(*PASSES)), None) is not None:
        return "app"
    return "files" if root is not None or server.value("root") else ""


def sends_what_is_missing_elsewhere(case: Case, server: Directive, root: Directive) -> bool:
    """Tell whether a location has files, for instance of an ACME challenge, and a redirect for all else."""
    files = root.value("try_files")
    rest = case.location(server, files.args[-1]) if files and files.args[-1].startswith("@") else None
    return rest is not None and any(one.args[0].startswith(("3", "http", "$scheme")) for one in rest.own("return"))


@rule
def n16_default_server(case: Case) -> Iterator[Finding]:
    """Find servers without a gate that lead visitors who ask for any other name to the site's app."""
    every = case.tree.servers()
    behind = {one for server in case.gated for one in backends(case, server)}
    own = {address for server in case.servers for address in addresses(server)}
    ports = {port(address) for address in own}
    found: dict[Directive, str] = {}
    for address in dict.fromkeys(address for server in every for address in addresses(server)):
        server = answering(every, address, "")[0]
        inner = address.startswith(LOOPBACK) and address not in own
        if server is None or server in case.servers or case.gates(server) or inner:
            continue
        ended = case.visit(server, "/")
        sends_away = ended is not None and (ended.name == "return" or leads_away(ended))
        if port(address) in ports and not sends_away and behind & set(backends(case, server)):
            found.setdefault(server, address)
    for server, address in found.items():
        yield at(
            "N16",
            ERROR,
            next(iter(server.own("listen", "server_name")), server),
            f"This server answers at {address} for names that no other server has, leads to the site's app, and has no gate",
            "Who asks for the host's address, or for any other name, reaches the app while the site is closed.",
            f"Write return 444; or return 404; into it instead, or include snippets/intermission-{case.site}.conf;",
        )


def port(address: str) -> str:
    """Give the port of an address, on which a site may be reached over IPv4 and IPv6."""
    return address.partition(" ")[0].rpartition(":")[2]


def backends(case: Case, server: Directive) -> Iterator[str]:
    """List the sockets and addresses that a server hands requests to, where the configuration says them without variables."""
    http = case.tree.http()
    groups = {one.args[0]: one for one in http.own("upstream")} if http else {}
    for handed in server.within(*PASSES):
        found = BACKEND.match(handed.args[0])
        if found and "$" not in found[1]:
            group = groups.get(found[1])
            yield from (one.args[0] for one in group.own("server")) if group else (found[1],)


def escapes_of_locations(case: Case, server: Directive) -> Iterator[Finding]:
    """Find the locations beside one that tests a flag for itself alone."""
    locations = server.own("location")
    testing = [one for one in locations if closes_itself(one)]
    if not testing or case.gate(server) or case.closed_by(server, "/"):
        return
    targets = [page.target for page in case.error_pages(server)]
    for location in locations:
        exempt = location.kind == "@" or location.has("internal", "return") or "well-known" in location.path
        if location not in testing and not exempt and location.path not in targets and not of_the_role(location.path):
            yield at(
                "N16",
                ERROR,
                location,
                f"location {location.path} has no test of the flag, which location {testing[0].path} has",
                "It stays open while the site is closed.",
                f"Test the flag once, in the server: include snippets/intermission-{case.site}.conf;",
            )


def closes_itself(location: Directive) -> Optional[Directive]:
    """Give the ``return`` with which a location that tests a flag answers with an error."""
    tests = [test for test in location.own("if") if is_flag_test(test.args)]
    return next((one for test in tests for one in test.own("return") if one.args[0].startswith("5")), None)


def escapes_before_the_gate(case: Case, server: Directive) -> Iterator[Finding]:
    """Find lines above the gate after which Nginx does not come to it."""
    above = case.around_the_gate(server)[0]
    for directive in [
        one for top in above for one in (top, *(top.own("rewrite", "break") if top.name == "if" else []))
    ]:
        everything = True
        if directive.name == "rewrite" and directive.args[-1] in ENDS:
            everything = directive.fits(directive.args[0], "/")
            if directive.fits(directive.args[0], TOKEN) and not everything:
                continue
        elif directive.name != "break":
            continue
        whole = directive.parent is server and everything
        yield at(
            "N16",
            ERROR if whole else WARNING,
            directive,
            f"{directive.name} {directive.args[-1] if directive.args else ''}".strip() + " stands above the gate",
            "It ends what the server does before a location is chosen: such requests pass the gate by.",
            way_out(directive),
        )


def takes_the_pages(rewrite: Directive) -> bool:
    """Tell whether a ``rewrite`` changes the addresses of the role's pages too."""
    if rewrite.name != "rewrite" or leads_away(rewrite):
        return False
    return rewrite.fits(rewrite.args[0], A_PAGE)


def way_out(directive: Directive) -> str:
    """Say where it can stand, so that nobody passes the gate by and the pages keep their addresses."""
    if takes_the_pages(directive):
        return (
            "Write the rewrite into a location, for instance location / { rewrite ^/(.*)$ /shop/$1 break; ... }. In the server it "
            "would change the addresses of Intermission's pages too, above the include as well as below."
        )
    return "Put the include above it."


@rule
def n2_pages_are_rewritten(case: Case) -> Iterator[Finding]:
    """Find rewrites of a server that lead away from Intermission's pages. N16 has those above the gate that end the way there."""
    for server in case.gated:
        above, below = case.around_the_gate(server)
        for directive in [
            one for top in (*above, *below) for one in (top, *(top.own("rewrite") if top.name == "if" else []))
        ]:
            ends = directive.args[-1] in ENDS and (directive in above or directive.parent in above)
            if takes_the_pages(directive) and not ends:
                yield at(
                    "N2",
                    ERROR if directive.parent is server else WARNING,
                    directive,
                    "rewrite changes the addresses of Intermission's pages too",
                    "Nginx goes to a page by an internal redirect, which runs through the server's own lines again: visitors get 404, "
                    "or an answer of the app's, instead of the page.",
                    way_out(directive),
                )


@rule
def snippet_in_the_wrong_place(case: Case) -> Iterator[Finding]:
    """Find gates in servers that are not the site's."""
    for server in case.tree.servers():
        gates = case.gates(server)
        if (
            gates
            and server not in case.servers
            and not set(server_names(server)) & {name.lower() for name in case.names}
        ):
            yield at(
                "names",
                ERROR,
                gates[0].include or gates[0],
                f"The snippet is included in a server that answers for none of the site's names, but for "
                f"{listed(server_names(server)) or 'any other'}",
                "It closes another site, and not this one.",
                f"Move the include into the server of {case.names[0]}, or set intermission_server_names.",
            )


@rule
def conflicting_names(case: Case) -> Iterator[Finding]:
    """Find servers whose name another one has taken, as Nginx itself tells."""
    for name, address in dict.fromkeys(CONFLICT.findall(case.reading["stderr"])):
        where = re.sub(r"^0\.0\.0\.0:", "*:", address)
        rivals = [one for one in case.tree.servers() if name.lower() in server_names(one) and where in addresses(one)]
        if name.lower() not in [one.lower() for one in case.names] or len(rivals) < 2:
            continue
        first = rivals[0]
        for loser in rivals[1:]:
            lost = case.gate(loser) is not None and case.gate(first) is None
            yield at(
                "conflict",
                ERROR if lost else WARNING,
                [one for one in loser.own("server_name") if name.lower() in [arg.lower() for arg in one.args]][0],
                f"The name {name} at {address} is ignored here: the server at {first.file}:{first.line} has it already",
                "Of two servers with a name Nginx takes the first"
                + (", and that one has no gate: the site cannot be closed." if lost else "."),
                f"Take the name out of one of them; often it is an old file in sites-enabled, here {first.file}.",
            )


@rule
def n17_upload_is_refused(case: Case) -> Iterator[Finding]:
    """Find pages of a gate of the user's own that a large upload does not get."""
    for server, page, place, location in own_pages(case):
        if page.target.startswith("@"):
            continue
        limit = (location or server).value("client_max_body_size")
        if limit is None or limit.args[0] != "0":
            yield at(
                "N17",
                WARNING,
                place,
                f"{page.target} has a limit for bodies ({limit.args[0] if limit else 'by default 1m'})",
                "Nginx compares the body with the limit of the page's location: a larger upload gets 413 instead of the page.",
                f"Write location = {page.target} {{ internal; client_max_body_size 0; }}",
            )


@rule
def n18_page_has_an_address(case: Case) -> Iterator[Finding]:
    """Find error pages that can be asked for."""
    for server in case.servers:
        for page in case.error_pages(server):
            if not page.accidents or not page.target.startswith("/"):
                continue
            location = case.location(server, page.target)
            if location is None or (not location.has("internal") and static(location)):
                yield at(
                    "N18",
                    WARNING,
                    location if location is not None and location.path == page.target else page.directive,
                    f"{page.target} can be asked for",
                    "Asked for directly, the page has status 200, and search engines may show it.",
                    f"Write location = {page.target} {{ internal; }} with the page's root.",
                )


@rule
def n20_websockets_outlive_a_reload(case: Case) -> Iterator[Finding]:
    """Find websockets where old workers may live for ever. The role's own server hands them on to any app, which may have none."""
    if case.tree.root.has("worker_shutdown_timeout"):
        return
    for server in case.servers:
        upgrades = [one for one in server.within("proxy_set_header") if one.args[0].lower() == "upgrade"]
        upgrades = [one for one in upgrades if not posixpath.basename(one.file).startswith("intermission-")]
        for upgrade in upgrades[:1]:
            yield at(
                "N20",
                WARNING,
                upgrade,
                "Websockets are handed on, and worker_shutdown_timeout is not set",
                "After each reload, old workers live on with the old configuration until their last websocket ends.",
                "Write worker_shutdown_timeout 1h; or less into nginx.conf, outside of all blocks.",
            )


@rule
def n24_challenge_is_closed(case: Case) -> Iterator[Finding]:
    """Find gates that keep a certificate authority out."""
    for server in case.servers:
        closing = case.closed_by(server, TOKEN)
        location = case.location(server, TOKEN)
        if closing is None and location is not None and not case.gate(server):
            closing = closes_itself(location)
        if closing is not None:
            yield at(
                "N24",
                ERROR,
                closing,
                f"return {closing.args[0]} closes {CHALLENGE} too",
                "While the site is closed, certificates cannot be renewed.",
                f"Exempt it: {own_gate(f'$uri ~ ^{CHALLENGE}')}, and give it a location. "
                "Or leave it to Intermission's gate, which does.",
            )


@rule
def n27_if_is_evil(case: Case) -> Iterator[Finding]:
    """Find what does something else in an ``if`` than it says."""
    for server in case.servers:
        for test in server.within("if"):
            evil = [one for one in test.children if one.name not in SAFE_IN_IF]
            if evil and test.above("location"):
                yield at(
                    "N27",
                    WARNING,
                    evil[0],
                    f"{listed(dict.fromkeys(one.name for one in evil))} in an if of a location",
                    "An if is a location of its own that replaces the outer one: other lines of the location do not hold in it.",
                    "Decide with a map, and use nothing but set, return and rewrite in an if.",
                )


@rule
def n28_map_remembers(case: Case) -> Iterator[Finding]:
    """Find gates that close their own page because a map keeps its first value."""
    for server, closing, page in own_gates(case):
        target = page.target if page else ""
        if not target.startswith("/") or case.closed_by(server, target) or not case.closed_by(server, target, "/"):
            continue
        for one in used_maps(case.maps, gate_variables(server)):
            if {"uri", "document_uri"} & set(variables(one.args[0])) and not is_volatile(one):
                yield at(
                    "N28",
                    ERROR,
                    one,
                    f"The map that makes {one.args[-1]} is not volatile, and the gate at {closing.file}:{closing.line} depends on it",
                    f"Nginx computes it once for a request: it keeps the value of the visitor's address when the page {target} "
                    "is fetched, and visitors get Nginx's built-in page.",
                    "Write volatile; into the map.",
                )


@rule
def n31_too_few_connections(case: Case) -> Iterator[Finding]:
    """Find an Nginx that runs out of connections while a restart lets requests wait."""
    events = (case.tree.root.own("events") or [case.tree.root])[0]
    said = events.own("worker_connections")
    number = int(said[-1].args[0]) if said else DEFAULT_CONNECTIONS
    rate = case.reading["rate"]
    needed = CONNECTIONS_PER_REQUEST * RESTART_SECONDS * rate
    place = said[-1] if said else events
    if number < needed:
        yield at(
            "N31",
            WARNING,
            place,
            f"worker_connections is {number}{'' if said else ' by default'}",
            f"A request that waits takes two connections. At {rate} requests a second, a restart of the app of "
            f"{RESTART_SECONDS} seconds takes {needed}; then Nginx hangs up without an answer.",
            f"Write worker_connections {max(4096, needed)}; (maintenance_page_doctor_rate says how many requests to reckon with).",
        )
    for limit in case.tree.root.own("worker_rlimit_nofile"):
        if limit.args[0].isdigit() and int(limit.args[0]) < number:
            yield at(
                "N31",
                WARNING,
                limit,
                f"worker_rlimit_nofile is {limit.args[0]}, and worker_connections {number}",
                "Each connection takes a file: the lower of the two is what Nginx has.",
                f"Write worker_rlimit_nofile {2 * number};",
            )


@rule
def merge_slashes(case: Case) -> Iterator[Finding]:
    """Find servers that take an address with two slashes for another one."""
    for server in case.gated:
        merge = server.value("merge_slashes")
        if merge is not None and merge.args[0] == "off":
            yield at(
                "slashes",
                WARNING,
                merge,
                "merge_slashes off",
                "Locations and the lists of the gate are compared with the address as it was sent: //admin/ is not "
                "/admin/ for them, and escapes a lock that a location has.",
                "Take the line out, unless addresses of the app need their double slashes.",
            )


@rule
def state_of_the_flag(case: Case) -> Iterator[Finding]:
    """Find flags that are no longer what somebody meant."""
    status = case.reading["status"]
    flag = f"{case.state}/on"
    if not status["on"] and status["opened_with"]:
        yield Finding(
            "N29",
            ERROR,
            flag,
            None,
            f"The flag is a symlink to nothing{': ' + status['problem'] if status['problem'] else ''}",
            "Nginx follows symlinks: it sees no flag, and the site is open.",
            "ansible-playbook playbooks/maintenance_off.yml, and maintenance_on.yml again where the site is to be closed.",
        )
    if not status["on"] or status["since"] is None:
        return
    if status["opened_with"] == "hand" and datetime.now(timezone.utc) - parse_instant(status["since"]) > BY_HAND_FOR:
        yield Finding(
            "by-hand",
            WARNING,
            flag,
            None,
            f"The site is closed by hand since {status['since']}",
            "Nobody is told an end, and search engines drop pages that answer 503 for days.",
            "Open it with playbooks/maintenance_off.yml, or open a window with an end and a reason.",
        )
    if status["overdue"]:
        yield Finding(
            "overdue",
            ERROR,
            flag,
            None,
            f"The site is closed, and was to be open again at {status['until']}",
            "A window does not close by itself. Visitors read an end that has passed.",
            "Open it with playbooks/maintenance_off.yml, or give it a new end with maintenance_on.yml.",
        )


@rule
def pages_are_older(case: Case) -> Iterator[Finding]:
    """Find pages that are not what the role would write now."""
    for file, same in case.reading["pages"].items():
        if same is False:
            yield Finding(
                "pages",
                WARNING,
                file,
                None,
                "The page is not the one that the inventory would make now",
                "The name, the colour, the template or the version of Intermission has changed since it was written.",
                "Apply the role again: ansible-playbook deploy.yml",
            )


@rule
def undecided(case: Case) -> Iterator[Finding]:
    """Name the patterns that the rules above have asked about in vain."""
    for directive in case.tree.all():
        if directive.undecided:
            yield at(
                "undecided",
                WARNING,
                directive,
                f"The doctor has not found out what a pattern of {directive.name} fits",
                "Python has no such pattern, or is not done with it in time, for instance where a repetition repeats another one. It "
                "was taken to fit nothing; other findings about this server may be wrong, or missing.",
                "Write the pattern more simply: Nginx too may answer 500 where such a one takes long. Or look at it yourself with "
                "docs/traps.md at hand.",
            )


def paths(case: Case) -> list[str]:
    """List what has to be looked at on the host before the rules can run: flags' directories, and pages."""
    found = []
    for server in case.servers:
        found += [posixpath.dirname(flag) for flag in tested_flags(case, server).values()]
        files = [case.file_of(server, page.target) for page in case.error_pages(server) if page.accidents]
        found += [file for file in files if file]
    return list(dict.fromkeys(found))


def examine(reading: dict[str, Any], look: Callable[[list[str], str, str], dict[str, dict[str, Any]]]) -> list[Finding]:
    """Examine one host: what has been read there, and what ``look`` then says of paths, for a user and Nginx's pid file.

    The user is empty where the configuration does not decide. Raises DoctorError where the configuration cannot be read.
    """
    if reading["rc"] != 0:
        return [refusal(reading["stderr"] or reading["stdout"], reading["site"])]
    case = Case(parse(reading["stdout"]), reading)
    main = case.tree.root
    user = next((one.args[0] for one in main.own("user") if reading["root"]), "")
    pid = next((one.args[0] for one in main.own("pid")), DEFAULT_PID_FILE)
    known, named = [main.file, case.state, *reading["pages"]], paths(case)
    case.looks = look([*known, *named], user, posixpath.join(posixpath.dirname(main.file), pid))
    if not case.looks[main.file]["exists"]:  # Nginx is in a container, and what its files name is there
        case.looks = {path: seen for path, seen in case.looks.items() if path in known}
    return list(dict.fromkeys(finding for each in RULES for finding in each(case)))
