"""ASKS: starts, sends and queries, in both forms. It never runs a task."""
