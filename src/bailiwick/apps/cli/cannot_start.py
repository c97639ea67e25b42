"""What `serve` raises when it cannot start."""

from __future__ import annotations


class CannotStart(Exception):
    """Why `serve` does not start, and what to do about it."""
