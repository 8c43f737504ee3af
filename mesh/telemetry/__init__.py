"""The proxies' metrics, received as OTLP and served as windows."""
