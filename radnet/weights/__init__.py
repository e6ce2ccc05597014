"""The shipped starter weights; read MODEL_CARD.md."""
