"""Scenarios: `fieldgate simulate scenario` plays a described stretch of weather, traffic and mishaps."""
