"""From a traffic plan to the router's files and objects, and back from its counters. Pure."""
