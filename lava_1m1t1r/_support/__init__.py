"""Helpers that are independent of neurons: files and untrusted HDF5, child processes, progress bars, cores, lazy loading of libraries."""
