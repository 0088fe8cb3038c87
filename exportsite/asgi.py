"""For tools that ask for it; downloads belong under WSGI (Django reads a whole file into memory under ASGI)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exportsite.settings")

application = get_asgi_application()
