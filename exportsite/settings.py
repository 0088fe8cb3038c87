"""The settings: the only reader of the environment, in the order of .env.example."""

import re
from pathlib import Path

from exportsite import embedded, env, logs

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_file(env.path("ENV_FILE", BASE_DIR / ".env"))

# --- The server -------------------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG")
DATA = env.path("DATA", BASE_DIR / "var")
EMBEDDED_DATABASE = not env.text("DATABASE_URL")
EMBEDDED_REDIS = not env.text("REDIS_URL")
SECRET_KEY = env.text("SECRET_KEY") or embedded.secret_key(DATA, needed=not (EMBEDDED_DATABASE or DEBUG))
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
PORT = env.integer("PORT", 8000, minimum=1, maximum=65535)
PUBLIC_URL = env.base_url("PUBLIC_URL", f"http://localhost:{PORT}")
UNIT_HOST = env.text("UNIT_HOST").lower()
if UNIT_HOST and not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", UNIT_HOST):
    env.refuse("UNIT_HOST", f"{UNIT_HOST!r} is not a host name like unit.example.org")
if UNIT_HOST:
    ALLOWED_HOSTS.append(f".{UNIT_HOST}")
INSTANCE_NAME = env.text("INSTANCE_NAME", "local")
READ_ONLY = env.flag("READ_ONLY")

# --- Where things are -------------------------------------------------------------------------------------------

DATABASES = {"default": {**env.database("DATABASE_URL", embedded.database_url(DATA)), "CONN_MAX_AGE": 0}}
REDIS_URL, CELERY_BROKER_URL = env.redis("REDIS_URL", embedded.redis_url(DATA))
EXPORTS_STORE = env.path("EXPORTS_STORE", DATA / "store")
ACCEL_REDIRECT = env.text("ACCEL_REDIRECT")
if ACCEL_REDIRECT and not (ACCEL_REDIRECT.startswith("/") and ACCEL_REDIRECT.endswith("/")):
    env.refuse("ACCEL_REDIRECT", "must begin and end with a slash, as in /stored/")

# --- Exports ----------------------------------------------------------------------------------------------------

EXPORT_EXPIRE = env.duration("EXPORT_EXPIRE", "3d")
EXPORT_LEASE = env.duration("EXPORT_LEASE", "30s", units="smhd", minimum="5s")
EXPORT_AUTOSTART = env.flag("EXPORT_AUTOSTART")
EXPORT_STRICT_EASYDB_STATES = env.flag("EXPORT_STRICT_EASYDB_STATES")
EXPORT_UNIQUE_NAMES = env.flag("EXPORT_UNIQUE_NAMES")
EVENTS_WITH_ADDRESSES = env.flag("EVENTS_WITH_ADDRESSES")
EVENTS_OF_CONTENTS = env.integer("EVENTS_OF_CONTENTS", 100)
DELETIONS_KEPT = env.duration("DELETIONS_KEPT", "90d", minimum="1d")
EXPORT_BATCH_SIZE = env.integer("EXPORT_BATCH_SIZE", 100)
EXPORT_XSLT_LIMIT = env.size("EXPORT_XSLT_LIMIT", "10MB")
WATERMARK_FILE = env.text("WATERMARK_FILE")
if WATERMARK_FILE and not Path(WATERMARK_FILE).is_file():
    env.refuse("WATERMARK_FILE", f"there is no file {WATERMARK_FILE}")

# --- Imports ----------------------------------------------------------------------------------------------------

IMPORT_UNDO_DAYS = env.integer("IMPORT_UNDO_DAYS", 7, maximum=env.MOST_DAYS)
IMPORT_UNDO_COUNT = env.integer("IMPORT_UNDO_COUNT", 5)
IMPORT_UNDO_SIZE = env.size("IMPORT_UNDO_SIZE", "1024GB")
IMPORT_MAX_ENTRIES = env.integer("IMPORT_MAX_ENTRIES", 2_000_000, minimum=1)
IMPORT_MAX_SIZE = env.size("IMPORT_MAX_SIZE", "1024GB")
IMPORT_MAX_RATIO = env.integer("IMPORT_MAX_RATIO", 250, minimum=1)
IMPORT_LINK_TIMEOUT = env.duration("IMPORT_LINK_TIMEOUT", "2d")
IMPORT_LINK_RATE = env.size("IMPORT_LINK_RATE", "1KB")

# --- Schedules --------------------------------------------------------------------------------------------------

SCHEDULER_ACTIVE = env.flag("SCHEDULER_ACTIVE", True)
SCHEDULER_TIME_ZONE = env.time_zone("SCHEDULER_TIME_ZONE", "UTC")
STANDARD_HOUR = env.integer("STANDARD_HOUR", 2, maximum=23)
STANDARD_MINUTE = env.integer("STANDARD_MINUTE", 0, maximum=59)

# --- The move API -----------------------------------------------------------------------------------------------

MOVE_MIN_PARTS_SIZE = env.integer("MOVE_MIN_PARTS_SIZE", 0)
MOVE_TOKEN_REQUIRED = env.flag("MOVE_TOKEN_REQUIRED")
MOVE_WIZARD_URL = env.base_url("MOVE_WIZARD_URL", "")
ADMIN_API = env.flag("ADMIN_API")
MOVE_HOLD = env.duration("MOVE_HOLD", "30m", units="smhd", minimum="5s")

# --- Transports -------------------------------------------------------------------------------------------------

EGRESS_ALLOW = env.networks("EGRESS_ALLOW")
EXPORT_LOCAL_FOLDERS = env.folders("EXPORT_LOCAL_FOLDERS")
EXPORT_TRANSPORT_TIMEOUT = env.duration("EXPORT_TRANSPORT_TIMEOUT", "60s", units="sm", minimum="1s")
EMAIL_ATTACH_LIMIT = env.size("EMAIL_ATTACH_LIMIT", "5MB")

# --- Mail -------------------------------------------------------------------------------------------------------

EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25, minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    env.refuse("EMAIL_USE_SSL", "cannot be true together with EMAIL_USE_TLS")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "exportsite@localhost")
EMAIL_TIMEOUT = 60

# --- Sessions and logins ----------------------------------------------------------------------------------------

SESSION_EXPIRE = env.duration("SESSION_EXPIRE", "7d")
LOGIN_ATTEMPTS = env.integer("LOGIN_ATTEMPTS", 10, minimum=1)
LOGIN_WINDOW = env.duration("LOGIN_WINDOW", "15m")
TRUSTED_PROXY = env.flag("TRUSTED_PROXY")
TRUSTED_PROXY_URL = env.flag("TRUSTED_PROXY_URL")
PASSWORD_HASHER = env.choice("PASSWORD_HASHER", "argon2", ("argon2", "md5"))

# --- Logs -------------------------------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_JSON = env.flag("LOG_JSON")

# === From here on nothing is read from the environment ==========================================================

INSTALLED_APPS = [
    "exportsite.apps.SiteConfig",
    "cells.apps.CellsConfig",
    "exports.apps.ExportsConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "exportsite.health.HealthMiddleware",
    "exports.api.cell.hosts.CellHostMiddleware",
    "exports.api.move.hosts.MoveHostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "exportsite.statics.DigestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "exports.web.middleware.PageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "exportsite.urls"
WSGI_APPLICATION = "exportsite.wsgi.application"
APPEND_SLASH = False  # a redirect would be an answer in no dialect

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "exportsite",
    }
}

PASSWORD_HASHERS = {
    "argon2": ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"],
    "md5": ["django.contrib.auth.hashers.MD5PasswordHasher"],
}[PASSWORD_HASHER]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]

_HTTPS = PUBLIC_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_AGE = int(SESSION_EXPIRE.total_seconds())
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "exports.web.errors.csrf_failed"
LOGIN_URL = "/web/sign-in"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "exportsite.statics.DigestStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"  # of the dialects; pages follow the person (exports.web.middleware)
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_I18N = True

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "exportsite",
    "DESCRIPTION": "Cells of documents and files, and their exports.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = logs.config(level=LOG_LEVEL, as_json=LOG_JSON)
