"""Other products' names for what asyncflow has. No second implementation of anything."""
