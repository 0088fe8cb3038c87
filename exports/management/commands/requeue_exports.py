"""Hand runs of dead workers to living ones, now instead of at the next sweep."""

from django.core.management.base import BaseCommand

from exports.services import lifecycle


class Command(BaseCommand):
    help = "Requeue runs whose worker went silent, and nudge the workers for every run that waits."

    def handle(self, **options: object) -> None:
        self.stdout.write(f"{lifecycle.requeue_lost()} lost runs requeued")
