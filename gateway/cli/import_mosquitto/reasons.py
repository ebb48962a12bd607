"""Every option of Mosquitto that has no counterpart here, and why: (does it matter, sentence)."""

from __future__ import annotations

from typing import Final

from gateway.cli.import_mosquitto.remarks import Kind

_LOST, _NEEDLESS = Kind.LEFT_OUT, Kind.NEEDLESS

_ON_DISK = (_NEEDLESS, "everything that is acknowledged is on disk at once here.")
_ALWAYS = "the gateway always does so."
_STDERR = (_NEEDLESS, "the log goes to standard error, with its own time stamps; the service manager keeps it.")
_PSK = (_LOST, "there is no TLS with pre-shared keys here; give the listener a certificate.")
_PLUGIN = (
    _LOST,
    "Mosquitto's plugins can't be loaded here; write password_file, jwt, http, acl_file or rules in the access.",
)
_BRIDGE_PSK = (_LOST, "there is no TLS with pre-shared keys here; use a certificate.")
_LAZY = (_LOST, "an uplink connects at once and stays; what it sends waits in the queue meanwhile.")
_NOTICE = (_LOST, "the state of an uplink is in the dashboard, /api/v1/status and the metrics, not in a topic.")
_LOCAL = (_NEEDLESS, "an uplink is no client of the gateway: it takes what is in its streams, whatever the rules say.")
_CIPHERS = (_LOST, "OpenSSL's own list is used; tls.min_version sets the oldest version of TLS.")

REASONS: Final[dict[str, tuple[Kind, str]]] = {
    # general
    "allow_duplicate_messages": (_LOST, "overlapping subscriptions get one copy each, with its identifier (MQTT 5)."),
    "autosave_interval": _ON_DISK,
    "autosave_on_changes": _ON_DISK,
    "check_retain_source": (_LOST, "rules are asked when a message is published and when it is delivered."),
    "clientid_prefixes": (_LOST, "who may come in is decided by user names; write rules with patterns in clients."),
    "connection_messages": (
        _LOST,
        "who comes and goes is in the dashboard; the log has whom it refused, and whom it lost.",
    ),
    "enable_control_api": (_LOST, "the gateway is told what to do over its HTTP interface."),
    "log_facility": _STDERR,
    "log_timestamp": _STDERR,
    "log_timestamp_format": _STDERR,
    "max_inflight_bytes": (_LOST, "only the number of messages in flight is bounded: sessions.max_in_flight."),
    "memory_limit": (_LOST, "queues have bounds of their own (sessions, retained); bound the process in its unit."),
    "packet_buffer_size": (_NEEDLESS, "buffers grow and shrink by themselves."),
    "per_listener_settings": (_NEEDLESS, "each listener names its access."),
    "persistence_file": (
        _LOST,
        "what this file holds is not brought along: sessions and retained messages start empty.",
    ),
    "persistence_location": (_LOST, "the gateway keeps its data in gateway.data_dir; set it."),
    "persistent_client_expiration": (_LOST, "expected a number and one of h, d, w, m and y."),
    "pid_file": (_NEEDLESS, "the service manager knows the process."),
    "queue_qos0_messages": (_LOST, "messages with QoS 0 do not wait for clients that are away [MQTT-3.1.2.4]."),
    "retain_available": (_LOST, "retained messages are always there; bound them in the section retained."),
    "retain_expiry_interval": (_LOST, "retained messages go when their publisher says so (Message Expiry Interval)."),
    "set_tcp_nodelay": (_NEEDLESS, _ALWAYS),
    "upgrade_outgoing_qos": (
        _LOST,
        "a message is delivered with the QoS it was published with at most [MQTT-3.8.4-8].",
    ),
    "user": (_NEEDLESS, "the service manager says who runs the gateway."),
    "websockets_headers_size": (_NEEDLESS, "headers of up to 8 KiB are taken."),
    "websockets_log_level": _STDERR,
    "global_plugin": _PLUGIN,
    "plugin_load": _PLUGIN,
    "plugin_use": _PLUGIN,
    # who may come in
    "allow_zero_length_clientid": (_LOST, "clients may leave their id to the gateway [MQTT-3.1.3-6]."),
    "auth_plugin": _PLUGIN,
    "auth_plugin_deny_special_chars": _PLUGIN,
    "auto_id_prefix": (_LOST, "ids that the gateway gives begin with auto-."),
    "listener_auto_id_prefix": (_LOST, "ids that the gateway gives begin with auto-."),
    "plugin": _PLUGIN,
    "psk_file": _PSK,
    # listeners
    "accept_protocol_versions": (_LOST, "a listener takes MQTT 3.1, 3.1.1 and 5."),
    "bind_interface": (_LOST, "a listener is bound to an address; write the interface's own as bind."),
    "capath": (_LOST, "certificates to believe are in one file: put them together and write it as tls.ca_file."),
    "ciphers": _CIPHERS,
    "ciphers_tls1.3": _CIPHERS,
    "dhparamfile": (_NEEDLESS, "key exchange uses elliptic curves."),
    "disable_client_cert_date_checks": (_LOST, "a client certificate that has expired is never believed."),
    "http_dir": (_LOST, "the gateway serves its own pages only, at api.bind."),
    "max_qos": (_LOST, "a listener takes QoS 0, 1 and 2."),
    "max_topic_alias_broker": (_NEEDLESS, "the gateway uses as many aliases as a client allows."),
    "proxy_protocol_v2_require_tls": (
        _LOST,
        "a connection behind a load balancer is not asked for TLS in front of it.",
    ),
    "psk_hint": _PSK,
    "tls_engine": (_LOST, "keys are read from files, never from an engine."),
    "tls_engine_kpass_sha1": (_LOST, "keys are read from files, never from an engine."),
    "tls_keyform": (_LOST, "keys are read from files in PEM, never from an engine."),
    # bridges
    "bridge_alpn": (_LOST, "an uplink speaks MQTT without ALPN; use the broker's port for MQTT."),
    "bridge_attempt_unsubscribe": (_NEEDLESS, "an uplink subscribes to nothing."),
    "bridge_bind_address": (_LOST, "the system chooses the address an uplink comes from; set a route."),
    "bridge_capath": (_LOST, "certificates to believe are in one file: put them together and write it as tls.ca_file."),
    "bridge_ciphers": _CIPHERS,
    "bridge_ciphers_tls1.3": _CIPHERS,
    "bridge_identity": _BRIDGE_PSK,
    "bridge_insecure": (_LOST, "the broker's name is always checked; have a certificate made with its name in it."),
    "bridge_max_topic_alias": (_NEEDLESS, "frames are large; an alias would save next to nothing."),
    "bridge_outgoing_retain": (_LOST, "frames are never retained; the records in them keep their flag."),
    "bridge_psk": _BRIDGE_PSK,
    "bridge_receive_maximum": (_NEEDLESS, "an uplink receives nothing."),
    "bridge_reload_type": (_NEEDLESS, "only what was changed begins anew at a reload."),
    "bridge_require_ocsp": (_LOST, "there is no OCSP here; the certificate's chain, name and dates are checked."),
    "bridge_session_expiry_interval": (_NEEDLESS, "an uplink needs no session: the spool is what it goes on from."),
    "bridge_tcp_keepalive": (_NEEDLESS, "MQTT's own keep alive finds out."),
    "bridge_tcp_user_timeout": (_NEEDLESS, "MQTT's own keep alive finds out."),
    "bridge_tls_version": (_NEEDLESS, "TLS 1.2 or newer is spoken, whatever the broker can."),
    "cleansession": (_NEEDLESS, "an uplink needs no session: the spool is what it goes on from."),
    "clientid": (_LOST, "an uplink's client id is made of gateway.id and its name."),
    "idle_timeout": _LAZY,
    "local_cleansession": _LOCAL,
    "local_clientid": _LOCAL,
    "local_password": _LOCAL,
    "local_username": _LOCAL,
    "notification_topic": _NOTICE,
    "notifications": _NOTICE,
    "notifications_local_only": _NOTICE,
    "remote_clientid": (_LOST, "an uplink's client id is made of gateway.id and its name."),
    "round_robin": (_LOST, "an uplink has one address; give the brokers one name."),
    "start_type": _LAZY,
    "threshold": _LAZY,
    "try_private": (_NEEDLESS, "an uplink takes nothing from the broker, so nothing can go in circles."),
}

DEFAULTS: Final[dict[str, str]] = {
    "allow_duplicate_messages": "true", "max_qos": "2", "queue_qos0_messages": "false", "retain_available": "true",
    "upgrade_outgoing_qos": "false", "allow_zero_length_clientid": "true", "round_robin": "false",
    "start_type": "automatic", "bridge_insecure": "false", "bridge_outgoing_retain": "true", "tls_keyform": "pem",
    "notifications": "false", "bridge_require_ocsp": "false", "disable_client_cert_date_checks": "false",
    "enable_control_api": "false",
}  # fmt: skip
"""Written with this value, an option asks for what the gateway does anyway."""

PREFIXES: Final[dict[str, tuple[Kind, str]]] = {"auth_opt_": _PLUGIN, "plugin_opt_": _PLUGIN}
