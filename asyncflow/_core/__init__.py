"""DECIDES: facts in, changes and commands out. Pure: no loop, clock, dice, log or I/O."""
