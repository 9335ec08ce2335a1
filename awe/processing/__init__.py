"""Makes products: plans, executes, and one module for each step."""
