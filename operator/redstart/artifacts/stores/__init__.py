"""What the schemes of a URI need: object stores and volumes, and files that a web server has."""
