"""Re-runs captured tasks on other models through the same gateway, under the same constraints."""
