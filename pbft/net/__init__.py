"""Datagrams: what clients and replicas share of the way to each other."""
