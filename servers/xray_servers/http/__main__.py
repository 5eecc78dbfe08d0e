"""``python -m xray_servers.http``."""

from xray_servers.http.cli import main

if __name__ == "__main__":
    main()
