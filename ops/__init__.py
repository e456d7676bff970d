"""The operator's command line: `relay`, for whoever runs session-relay in an AWS account."""
