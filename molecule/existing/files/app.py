"""The app of the site: echoes what it is asked, and answers /status/<code>/ with that status, as a page of its own."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers any method."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Echo the request."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        status = int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200
        body = f"{self.command} {self.path} {sent}".encode()
        self.send_response(status)
        self.send_header("X-Shop-Version", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer


ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
