"""The HTTP house that the gateway and the receiver share: who may come in, pages, live bodies, errors as sentences."""
