"""What a person sees and types: the commands, the live view, the report. It decides nothing."""
