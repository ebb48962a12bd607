"""Devices, a cloud broker and a bad link to try Fieldgate with.

Nothing here imports the gateway or the bridge: the devices speak through paho-mqtt and the cloud is amqtt, so that
Fieldgate's own codec is never asked to check itself.
"""
