"""Engines for comparison: `fedwarn.engines` in pyproject.toml names them, and no partner installs them."""
