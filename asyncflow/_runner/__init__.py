"""RUNS: appends facts, has them decided, commits, dispatches. It holds no policy."""
