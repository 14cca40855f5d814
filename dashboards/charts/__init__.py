"""Charts of results: each function takes a report's numbers and pairs and gives a `Chart`."""
