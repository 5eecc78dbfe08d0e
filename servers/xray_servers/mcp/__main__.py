"""``python -m xray_servers.mcp``."""

from xray_servers.mcp.cli import main

if __name__ == "__main__":
    main()
