"""Pages of reports: each one HTML file that opens offline."""

from .html import Page

__all__ = ["Page"]
