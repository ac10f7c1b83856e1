"""The app in a browser: walks, accessibility, screenshots."""
