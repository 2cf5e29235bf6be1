"""The cost of training on devices that need not be present: compiled, counted or calculated."""
