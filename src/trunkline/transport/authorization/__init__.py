"""How requests to a server are authorised: by access tokens of our own fetching, or by the user's `httpx2.Auth`."""
