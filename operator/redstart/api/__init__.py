"""The custom resources of Redstart, by version."""
