"""What a request looks like: live, as plain lines, as a report."""
