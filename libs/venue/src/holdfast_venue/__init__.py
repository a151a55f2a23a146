"""The real adapters behind holdfast_runtime.ports.venue: Alpaca's REST and streams, spoken by papermarket too."""
