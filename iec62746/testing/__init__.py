"""What helps to test applications and transports."""
