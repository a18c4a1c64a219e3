"""A Kubernetes cluster for development and tests: kind where Docker is, else a native one of one node."""
