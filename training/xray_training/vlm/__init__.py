"""Fine-tuning of vision-language models that provably look at the picture."""
