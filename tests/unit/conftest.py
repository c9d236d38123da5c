"""Unit tests: no root, milliseconds. Helpers beside this file can be imported by name."""
