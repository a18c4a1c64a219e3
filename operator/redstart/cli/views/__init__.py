"""Objects as trees for the terminal: pure functions from an object to what rich prints."""
