"""The shop's web server: files of `pages/`, with the key and the address of ingestion filled in."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from contracts.signals.web import snippet

_PAGES = Path(__file__).parent / "pages"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILES = {path.name: path for path in _PAGES.iterdir()}
_MARK = "<!-- moments -->"


def serve_shop(key: str, signals: str, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """A server that listens; the caller lets it serve and closes it. Port 0: a free one."""

    class Shop(BaseHTTPRequestHandler):
        """Answers with a file."""

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].lstrip("/") or "index.html"
            path = _FILES.get(name)
            if path is None:
                self.send_error(404)
                return
            text = path.read_text(encoding="utf-8").replace(_MARK, snippet(signals, key))
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{_TYPES[path.suffix]}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the shop is looked at, not its log."""

    return ThreadingHTTPServer((host, port), Shop)
