"""Views on a run: listeners for its events. Each imports its library when it is used."""
