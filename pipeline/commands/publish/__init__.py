"""A folder that is ready to upload to Hugging Face or Kaggle; nothing here uploads it."""
