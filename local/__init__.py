"""The local cloud: the product as a whole on one machine, without an AWS account."""
