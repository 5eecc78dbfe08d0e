"""What clients of OpenAI's API expect: models, chat completions and responses."""
