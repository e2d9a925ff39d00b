"""The types and functions that all other packages build on: arrays, spaces, maps, alignments and translators."""
