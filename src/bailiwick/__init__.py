"""Bailiwick: the tenant boundary for AI applications."""
