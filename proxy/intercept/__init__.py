"""The HTTPS_PROXY door: ends TLS, decides CONNECT and raw connections, hands each HTTP exchange to the gateway.

Nothing is judged or recorded here. Only this folder knows mitmproxy, and of it only the protocol core: its
add-on manager logs an exception of a hook and lets the flow go on, so the hooks are answered by `connection.py`.
"""
