"""Who may come in, and what he may do then: authentication and authorisation."""
