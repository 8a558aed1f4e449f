"""What traces say beyond their decisions: pure functions on arrays, without torch."""
