"""The control channel between the orchestrator and its agents. Only `mqtt` knows MQTT."""
