"""What an operator does with a deployed relay: looked up, changed and checked; never deployed."""
