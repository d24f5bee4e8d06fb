"""The load test of the scoring server: the server, the load, the page."""
