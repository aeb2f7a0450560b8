"""KEEPS: what has happened, in one transaction at a time. It never decides."""
