"""DECLARES: what users write down and what they hold in hands. Pure: no loop, clock or I/O."""
