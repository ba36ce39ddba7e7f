"""Pictures: matplotlib only. They take results, draw them once, and update what has changed."""
