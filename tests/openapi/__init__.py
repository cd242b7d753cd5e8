"""The OpenAPI document beside the routes, the official client's models and the server itself."""
