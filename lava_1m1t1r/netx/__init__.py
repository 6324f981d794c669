"""Networks from files: the ``.net`` format (:mod:`.schema`), and networks in Lava and on the fast path (:mod:`.hdf5`)."""
