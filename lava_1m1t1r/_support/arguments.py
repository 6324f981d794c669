"""Help texts of the command line."""

from __future__ import annotations

import argparse


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help with the default of each option, and examples printed as written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        # "(default: None)" and "(default: [])" are of no use to a reader.
        plain = action.default in (None, [], False) or isinstance(action, argparse._StoreFalseAction)
        return action.help if plain else super()._get_help_string(action)
