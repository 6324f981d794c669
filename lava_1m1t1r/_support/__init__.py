"""What knows no neuron: files and HDF5 from outside, processes and their end, bars, cores, libraries loaded late."""
