"""What cannot be true in other people's tables, logs and folders, and in our own."""
