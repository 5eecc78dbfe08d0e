"""The kinds of question, a module for each family."""
