"""``xray-serve vlm``: a vision-language model behind an OpenAI-compatible endpoint, for the explainer to ask."""
