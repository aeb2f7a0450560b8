"""WORKS: how a task does what it does. It never touches a store."""
