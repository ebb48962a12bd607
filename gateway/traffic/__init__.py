"""What flows through the gateway, as it is watched: topics, newest messages; bounded in time and memory."""
