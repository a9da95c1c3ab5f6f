"""What was counted, shared through data set repositories of the hub."""
