"""What everything else is built from: arrays, spaces, maps, alignments and translators."""
