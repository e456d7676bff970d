"""The ledger: DynamoDB rows for claims, receipts and the order of each device's events."""
