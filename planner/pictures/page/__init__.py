"""The report's style and script, as files of their own."""
