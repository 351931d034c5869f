"""Times of passes, codecs and links on this machine, for a profile."""
