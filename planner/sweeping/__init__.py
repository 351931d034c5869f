"""A sweep's parts: the grid of questions, quick answers to them, and the rows that hold both."""
