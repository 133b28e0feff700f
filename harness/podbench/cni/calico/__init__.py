"""Calico: the driver, its temporary pools, its mode switch."""
