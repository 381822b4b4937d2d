"""Restores images whose degradation is understood: y = φ(x) + η."""
