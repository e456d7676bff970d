"""The vendors' own libraries, pinned, pointed at the sandbox, our tokens and our webhooks: `make sdks`, outside CI."""
