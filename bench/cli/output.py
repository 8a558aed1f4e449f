"""What commands print for programs."""

import json
from typing import Any

import typer


def print_json(content: Any) -> None:
    """One JSON document on stdout; numbers that are not finite are an error, not JSON."""
    typer.echo(json.dumps(content, indent=1, allow_nan=False))
