"""A client of one's own for `pub` and `sub`, by paho-mqtt: the gateway's own code must not vouch for itself."""
