"""The vendors' own libraries, pinned, pointed at the sandbox and at our tokens and webhooks: `make sdks`, outside CI."""
