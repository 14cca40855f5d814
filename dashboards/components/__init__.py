"""Parts of pages: each makes its own layout, and knows its data as a table to export."""
