"""Blocks for training: ``block.m1t1r.Dense`` and its like."""

from . import m1t1r

__all__ = ["m1t1r"]
