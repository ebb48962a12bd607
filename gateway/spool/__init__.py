"""The spool: the local store-and-forward queue, in SQLite, on the edge box."""
