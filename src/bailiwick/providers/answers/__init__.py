"""What providers answer, a module for each form: the few fields that we read of answers and of streams' events."""
