import os

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, call_command
from django.utils.crypto import get_random_string

from notes.models import Note

USERNAME = "demo"


class Command(BaseCommand):
    help = (
        "Makes what the demo needs, unless it is there: the database, the static "
        "files, a note, and a superuser, whose password is printed unless it is "
        "given as DJANGO_SUPERUSER_PASSWORD."
    )

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if not Note.objects.exists():
            Note.objects.create(title="The first note", text="It was there already.")
        if not get_user_model().objects.filter(username=USERNAME).exists():
            self.add_superuser()

    def add_superuser(self):
        password = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
        if not password:
            password = get_random_string(12)
            self.stdout.write(f"The admin has the user {USERNAME}, password {password}")
        get_user_model().objects.create_superuser(USERNAME, password=password)
