"""A load generator for MQTT brokers: packets are encoded before the clock starts, acknowledgements compared as bytes.

It exists to measure, so it must never be the bottleneck: nothing is encoded, parsed or allocated for each message while
the clock runs. Every packet of a connection has the same size, so a connection's messages are one ring of bytes and the
window is arithmetic on offsets; the acknowledgements expected are a ring as well, and what arrives is compared with it
in one call. A broker that answers in another shape or order is parsed packet by packet, slower and just as honestly.

It has its own small encoder and imports nothing of the gateway, so that the product's codec can't test itself.
"""
