"""The operator's command line `relay`, which runs session-relay in an AWS account."""
