"""The clinic's pages and its REST interface: one port, no asset from elsewhere, no script or style inside a page."""
