"""Reports: one HTML file that opens offline, with its numbers beside it as JSON."""

from .html import Report

__all__ = ["Report"]
