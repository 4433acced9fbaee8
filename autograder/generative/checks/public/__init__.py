"""Public checks: students have them. They judge by properties and known facts, and hold no answer."""
