"""What a fine-tune changed beside its task: forgetting, and harm. Texts, instructions and pairs are the project's own."""
