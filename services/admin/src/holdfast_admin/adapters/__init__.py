"""Where the service touches libraries: the web server and the health protocol."""
