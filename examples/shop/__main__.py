"""Serve the shop: `python -m examples.shop --key pk_… --signals http://127.0.0.1:8082 --port 8084`."""

from __future__ import annotations

import argparse

from examples.shop.serving import serve_shop


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="examples.shop", description="A shop of two pages that uses the web SDK.")
    parser.add_argument("--key", required=True, help="the web key of an audience configuration")
    parser.add_argument("--signals", default="http://127.0.0.1:8082", help="where ingestion is reached")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8084, help="port to listen on")
    given = parser.parse_args()
    server = serve_shop(given.key, given.signals, given.host, given.port)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
