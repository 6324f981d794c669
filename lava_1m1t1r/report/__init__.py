"""Reports: one HTML file that opens offline, and a JSON file with its numbers."""

from .html import Report

__all__ = ["Report"]
