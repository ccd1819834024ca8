"""pyrlm."""
