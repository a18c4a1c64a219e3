"""The whole life of a model in a few minutes, live on this machine's cluster: `make demo`."""
