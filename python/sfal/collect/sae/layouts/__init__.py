"""Readers of the layouts that other libraries and projects publish SAEs in."""
