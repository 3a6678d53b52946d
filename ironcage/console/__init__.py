"""The admin port: health, a small API, and pages to look at. Reads the store; never in the request path."""
