"""Neurons for training: ``neuron.m1t1r.Neuron``, also as ``neuron.Neuron``."""

from . import m1t1r
from .m1t1r import Neuron, arguments_of, neuron_params

__all__ = ["Neuron", "arguments_of", "m1t1r", "neuron_params"]
