"""Blocks for training: ``block.m1t1r.Dense`` and others."""

from . import m1t1r

__all__ = ["m1t1r"]
