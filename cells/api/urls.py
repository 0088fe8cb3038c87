"""Mounted under /api/v1/."""

from cells.api.base import routes
from cells.api.sessions import SessionViewSet

urlpatterns = [
    *routes("session", SessionViewSet, {"get": "read"}),
    *routes("session/authenticate", SessionViewSet, {"post": "authenticate"}),
    *routes("session/deauthenticate", SessionViewSet, {"post": "deauthenticate"}),
]
