"""The process of the websockets; see `exports.api.move.realtime.server`."""

import asyncio
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Holds the websockets of the move API, /realtime/ and [/CELL]/move/importing/realtime, behind a proxy."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8001, help="default 8001")

    def handle(self, *, host: str, port: int, **_: Any) -> None:
        from exports.api.move.realtime import server  # after the settings

        try:
            asyncio.run(server.run(host, port))
        except (OSError, OverflowError) as error:
            sys.exit(f"Cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}.")
