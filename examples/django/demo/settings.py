"""Settings of the demo. What differs between machines is in the environment."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# The database, what is uploaded, and the secret key: nothing else is written to.
DATA_DIR = Path(os.environ.get("DJANGO_DATA", BASE_DIR / "data")).absolute()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)


def secret_key(path):
    """Return the key in the file at path, which the first start makes."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    key = get_random_secret_key()
    with open(descriptor, "w") as file:
        file.write(key)
    return key


def listed(name, default=""):
    """Return the values of a variable, which are separated by commas."""
    values = os.environ.get(name, default).split(",")
    return [value for value in values if value]


SECRET_KEY = secret_key(DATA_DIR / "secret.key")
DEBUG = bool(os.environ.get("DJANGO_DEBUG"))

# The gateway and the tunnel leave Host as the browser sends it, and so the page's
# origin is what Django takes it for. Under another name, name it here; behind a
# gateway with TLS that serve does not --trust, its origin has to be trusted as well
# (a host until Django 3.2, https://host from 4.0 on).
ALLOWED_HOSTS = listed("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = listed("DJANGO_CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "demo.urls"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "media"

USE_TZ = True
TIME_ZONE = "UTC"
