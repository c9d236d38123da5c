"""Tests of the compiled programs: that they load, and their cost to the verifier; as root."""
