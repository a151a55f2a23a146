"""One small class a gate, one module a class; `registry` holds their order."""
