"""The worker: an SQS batch in, requests to an agent out, receipts written."""
