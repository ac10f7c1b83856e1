"""What a moment did for a profile, as a story: read from trigger's explanation, told in words, drawn. Pure."""
