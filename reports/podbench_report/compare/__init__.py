"""The compare page: its entry, words and sections."""
