"""Planning: from a planner's words to a valid plan."""
