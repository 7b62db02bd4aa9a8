"""What a monitoring system asks for: figures of the database, and of this process."""
