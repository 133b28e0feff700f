"""The control channel between the orchestrator and its agents.

Only `mqtt` and its `mqtt_link` know MQTT.
"""
