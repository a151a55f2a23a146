"""The backtest: the services themselves over a recording, in virtual time, without faults."""
