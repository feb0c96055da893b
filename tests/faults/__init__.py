"""Faults as cases: what is killed, lost, filled, damaged or set wrong, and what must be true all the same."""
