"""AWS: clients, environment variables, parameters, logs and traces."""
