"""The HTTP API: what the authorizer, ingest, identity, receipts and dry-run functions share."""
