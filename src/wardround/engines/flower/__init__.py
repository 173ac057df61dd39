"""The carrier that is Flower's SuperLink: the only room that knows Flower."""
