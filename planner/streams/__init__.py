"""Endless streams: a plan's repeating part, and its rate."""
