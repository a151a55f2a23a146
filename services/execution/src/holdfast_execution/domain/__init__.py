"""Pure rules of execution: no I/O, no clock, no chance."""
