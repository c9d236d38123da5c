"""Tests that do the real thing to this kernel and ask an independent witness; they need root."""
